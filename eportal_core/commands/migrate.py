"""``kc.eportal migrate``: bring the database to this version. ``migratedb --upgrade`` of old."""

from __future__ import annotations

import click

from eportal_core import db
from eportal_core.commands.session import Session, pass_session
from eportal_core.commands.usage import Command
from eportal_core.portal import migrations, open_storage


@click.command(
    "migrate",
    cls=Command,
    help="bring the database to this version; stop the portal before",
    short_help="bring the database to this version",
)
@pass_session
def migrate_command(session: Session) -> None:
    _migrate(session)


@click.command("migratedb", cls=Command, help="old name of migrate", hidden=True)
@click.option("--upgrade", is_flag=True, required=True, help="bring the database to this version")
@pass_session
def migratedb_command(session: Session, upgrade: bool) -> None:
    _migrate(session)


def _migrate(session: Session) -> None:
    storage = open_storage(session.config)
    db.connect(session.config.data_dir)
    with storage.lock(), db.connection():
        applied = db.migrate(migrations(session.plugins))
    for name in applied:
        click.echo(f"{name} was applied")
    if not applied:
        click.echo("The database is up to date")
