"""Extended Security Updates: package repositories, mirrored and served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eportal_core import Product, hookimpl

if TYPE_CHECKING:
    import click
    from starlette.routing import BaseRoute

    from eportal_core import Carried, Check, Guide, Job, Portal, Setting, Tree, View

PRODUCT = Product(
    name="tuxcare-esu",
    command="esu",
    title="Enterprise Support for AlmaLinux - ESU",
    default=False,
    aliases=("tuxcare-repo",),
)
#: Folder of the mirror below the patches directory.
TREE = "esu"


class EsuPlugin:
    """The hooks of a product that is made of packages, not of archives."""

    @hookimpl
    def eportal_products(self) -> Sequence[Product]:
        return [PRODUCT]

    @hookimpl
    def eportal_settings(self) -> Sequence[Setting]:
        from eportal_esu_repo.settings import settings

        return settings()

    @hookimpl
    def eportal_storage(self, portal: Portal) -> Sequence[Tree]:
        from eportal_core import Tree

        return [Tree(PRODUCT.name, TREE)]

    @hookimpl
    def eportal_carried(self, portal: Portal) -> Sequence[Carried]:
        from eportal_esu_repo.carried import carried

        return carried(portal)

    @hookimpl
    def eportal_commands(self, cli: click.Group) -> None:
        from eportal_esu_repo.commands import add_commands

        add_commands(cli)

    @hookimpl
    def eportal_agent_routes(self, portal: Portal) -> Sequence[BaseRoute]:
        from eportal_esu_repo.routes import routes

        return routes(portal)

    @hookimpl
    def eportal_views(self, portal: Portal) -> Sequence[View]:
        from eportal_esu_repo.pages import VIEWS

        return VIEWS

    @hookimpl
    def eportal_jobs(self, portal: Portal) -> Sequence[Job]:
        from eportal_esu_repo.periodic import jobs

        return jobs(portal)

    @hookimpl
    def eportal_guides(self, portal: Portal) -> Sequence[Guide]:
        from eportal_esu_repo.guide import guides

        return guides(PRODUCT.name, PRODUCT.title)

    @hookimpl
    def eportal_checks(self, portal: Portal) -> Sequence[Check]:
        from eportal_esu_repo.periodic import checks

        return checks(portal)


plugin = EsuPlugin()
