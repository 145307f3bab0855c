"""Agent packages: the upstream's repository passed through, and the scripts that set hosts up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eportal_core import hookimpl
from eportal_kernelcare.packages.settings import SETTINGS

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from eportal_core import Check, Guide, Portal, Setting


class AgentPackages:
    """Answers ``/repo/…``, and the scripts that hosts are set up with (docs/agent-packages.md)."""

    @hookimpl
    def eportal_settings(self) -> Sequence[Setting]:
        return SETTINGS

    @hookimpl
    def eportal_agent_routes(self, portal: Portal) -> Sequence[BaseRoute]:
        from eportal_kernelcare.packages.repository import repository_routes
        from eportal_kernelcare.packages.scripts import script_routes

        return [*repository_routes(portal), *script_routes(portal)]

    @hookimpl
    def eportal_guides(self, portal: Portal) -> Sequence[Guide]:
        from eportal_kernelcare.packages.guide import guides

        return guides()

    @hookimpl
    def eportal_checks(self, portal: Portal) -> Sequence[Check]:
        from eportal_kernelcare.packages.checks import checks

        return checks(portal)


plugin = AgentPackages()
