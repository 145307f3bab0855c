"""What every product made of patchset archives must do, as tests that its plugin runs."""

from __future__ import annotations

from eportal_core.testing.product.commands import CommandChecks
from eportal_core.testing.product.crashes import CrashChecks
from eportal_core.testing.product.feeds import FeedChecks
from eportal_core.testing.product.gate import GateChecks
from eportal_core.testing.product.loading import LoadingChecks
from eportal_core.testing.product.publishing import PublishingChecks
from eportal_core.testing.product.refusals import RefusalChecks


class ProductConformance(
    LoadingChecks,
    PublishingChecks,
    FeedChecks,
    GateChecks,
    RefusalChecks,
    CrashChecks,
    CommandChecks,
):
    """The conformance suite; a subclass whose name begins with ``Test`` runs it.

    plugin: what the entry point of the plugin names: a ``PatchsetPlugin``, or an object with its
        hooks and others.
    spec: what the product is; ``plugin.spec`` unless given.
    names: three names of patchsets, oldest first. targets: three targets. Both are made of the
        spec's regular expressions unless given.
    settings: values of settings, of the portal or of the plugins. others: plugins to be loaded
        beside. No other plugin is, however many are installed.
    """
