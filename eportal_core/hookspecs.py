"""Every hook a plugin may implement: a signature, and a docstring that is the contract.

*Asks every plugin*: all answers are collected. *Stops at the first answer*: the first value that
is not None is taken, None means "not mine" and an exception means "mine, and no".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eportal_core.markers import hookspec

if TYPE_CHECKING:
    import click
    from starlette.routing import BaseRoute

    from eportal_core.admin.ui.visit import View
    from eportal_core.config import Setting
    from eportal_core.portal import Portal
    from eportal_core.storage import Entry
    from eportal_core.types import (
        Caller,
        Carried,
        Check,
        Event,
        Guide,
        Identity,
        Job,
        Page,
        Product,
        Release,
        SettingsPage,
        Tree,
    )


@hookspec
def eportal_settings() -> Sequence[Setting]:
    """Settings of the plugin; they are read from the same places as the core's.

    Asks every plugin, before anything is configured.
    """


@hookspec
def eportal_products() -> Sequence[Product]:
    """Products that the plugin brings. Name, command and API name must be free, and only
    one product of all is the check-in.

    Asks every plugin, before anything is configured: the command line is built from it.
    """


@hookspec
def eportal_storage(portal: Portal) -> Sequence[Tree]:
    """The folders below the patches directory that the plugin's products keep.

    Asks every plugin, at start and each time the folders are looked for. A folder that another
    product has stops the start.
    """


@hookspec
def eportal_migrations() -> Path:
    """Folder of the plugin's migrations, scripts ``0001_name.py`` as playhouse.migrations has them.

    Asks every plugin, when a portal is opened.
    """


@hookspec
def eportal_commands(cli: click.Group) -> None:
    """Add subcommands to ``kc.eportal``; a name that is taken stops the start.

    Asks every plugin, before anything is configured.
    """


@hookspec
def eportal_startup(portal: Portal) -> None:
    """The portal is about to serve, in this process; the database is open and migrated.

    Asks every plugin. An exception stops the start.
    """


@hookspec
def eportal_routes(portal: Portal) -> Sequence[BaseRoute]:
    """Routes of the admin side, each below ``/admin``.

    Asks every plugin, once at start. A path and method that is taken stops the start, as does a
    path that is not below ``/admin``.
    """


@hookspec
def eportal_agent_routes(portal: Portal) -> Sequence[BaseRoute]:
    """Routes that agents use, in the agent process: keep them fast and their memory small.

    Asks every plugin, once at start. A path and method that is taken stops the start.
    """


@hookspec
def eportal_jobs(portal: Portal) -> Sequence[Job]:
    """Periodic work; it runs in the admin process, or by ``kc.eportal jobs run``, one at a time.

    A new job runs first when one period has passed, or ``Job.first`` seconds. What was due while
    the portal was off runs soon after its start. A job may be killed at any moment.

    Asks every plugin, at start and each time jobs are listed, or one is run by hand. A name that is
    taken stops it.
    """


@hookspec
def eportal_checks(portal: Portal) -> Sequence[Check]:
    """Findings for ``kc.eportal doctor``.

    Asks every plugin each time doctor runs. An exception becomes a finding.
    """


@hookspec(firstresult=True)
def eportal_fetch(portal: Portal, url: str, path: str) -> BinaryIO | None:
    """The file ``path`` of the patch source at ``url``, open for reading; the caller closes it.

    For a ``PATCH_SOURCE_URL`` that the core does not read itself, such as ``s3://patches``: it
    reads http, https and directories. path: below the source, as docs/patch-source.md draws it.
    What comes is bounded, and verified against what the publisher signed, before it is believed.
    Called for one file after the other, by several threads at once, in each process.

    Stops at the first answer; None means that the plugin does not know such addresses.

    Raises:
        FileNotFoundError: the source has no such file.
        UpstreamError: it cannot be had now.
    """


@hookspec(firstresult=True)
def eportal_deploy(portal: Portal, product: str, archive: Path) -> Release | None:
    """Check ``archive`` and put its content where the product keeps it; show it to nobody.

    Stops at the first answer; a plugin answers for its own products and returns None for others.
    Called under the storage lock; the caller makes the release visible in one transaction. What
    the journal names and no patchset owns is swept away by the next deploy or unroll, and when the
    portal starts.

    Raises:
        ArchiveError: the archive is refused.
        StorageError: the disk refused.
    """


@hookspec(firstresult=True)
def eportal_unroll(
    portal: Portal, product: str, patchset: str, delete: bool
) -> Sequence[Entry] | None:
    """``patchset`` leaves every feed; with ``delete``, name all that deploy published of it.

    Stops at the first answer; a plugin answers for its own products and returns None for others,
    and without ``delete`` the answer may be empty. Called under the storage lock, before the
    transaction, and removes nothing: after the transaction the caller removes what the answer
    names and no other patchset owns; what it does not name stays. An exception keeps everything as
    it was.
    """


@hookspec
def eportal_carried(portal: Portal) -> Sequence[Carried]:
    """What bundles for portals without a network carry of the plugin's products.

    Patchsets made of archives are carried without it, and no others.

    Asks every plugin when a bundle is made or applied, and for a receipt. An exception stops that
    before anything is done. A product and name that is taken stops it too.
    """


@hookspec(firstresult=True)
def eportal_authenticate(portal: Portal, username: str, password: str) -> Identity | None:
    """Who this is, if the plugin's backend knows the name and the password is right.

    Stops at the first answer; None means that the name is not known here. A local backend answers
    ``tryfirst``, one behind the network ``trylast``. Not called with an empty password.

    Raises:
        AccessDenied: the name is known and the password wrong: no other backend is asked.
    """


@hookspec
def eportal_navigation(portal: Portal) -> Sequence[Page]:
    """Pages of the plugin, as users find them on every page of the admin side.

    Asks every plugin, once at start. A title or path that is taken stops the start, as does a path
    that is not below ``/admin``.
    """


@hookspec
def eportal_views(portal: Portal) -> Sequence[View]:
    """Pages that look as the portal's own; ``eportal_navigation`` leads to them.

    A template ``page.html`` in the folder ``templates`` of the plugin's package is called
    ``<plugin>/page.html``, begins with ``{% extends "layout.html" %}`` and fills the block
    ``content``; ``plugin`` is the name of its entry point.

    Asks every plugin, once at start. A method and path that is taken stops the start.
    """


@hookspec
def eportal_settings_pages(portal: Portal) -> Sequence[SettingsPage]:
    """Pages of settings, as the core's page of the patch source: each shows what is set, where
    that was set, changes what may change, and tries it. The navigation shows them.

    Asks every plugin, once at start. A title or path that is taken stops the start, as does a path
    that is not ``/admin/settings/`` and a word, or a setting that there is not.
    """


@hookspec
def eportal_guides(portal: Portal) -> Sequence[Guide]:
    """Chapters of ``/admin/docs/``: how hosts are set up, with the portal's address and a key.

    Asks every plugin, each time the page is shown.
    """


@hookspec
def eportal_login_links(portal: Portal) -> Sequence[Page]:
    """Other ways to log in, as buttons below the form; each leads below ``/admin``.

    The path is called with ``next``, where the user was going. When it knows who that is, it
    answers with what ``sign_in`` returns.

    Asks every plugin, at start and each time ``sign_in`` is called. A title or path that is taken
    stops the start.
    """


@hookspec(firstresult=True)
def eportal_logout(portal: Portal, caller: Caller) -> str | None:
    """Where the browser of a user who has just logged out goes, a path below ``/admin``.

    Stops at the first answer; a plugin answers for users of its own backend and returns None for
    others. The session is over already, also when this fails. To go on to another host, answer
    the path with ``lead_away``.
    """


@hookspec
def eportal_event(portal: Portal, event: Event) -> None:
    """Something was done and committed; it cannot be undone from here.

    Asks every plugin. An exception is logged and changes nothing.
    """
