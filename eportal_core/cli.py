"""``kc.eportal``: put the commands together, dispatch, print expected errors."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence

import click

from eportal_core.commands.api_key import api_key_command
from eportal_core.commands.bundle import bundle_group
from eportal_core.commands.cache_mode import cache_mode_command
from eportal_core.commands.clean_releases import clean_releases
from eportal_core.commands.config import config_command
from eportal_core.commands.doctor import doctor_command
from eportal_core.commands.feed import feed_command
from eportal_core.commands.jobs import jobs_command
from eportal_core.commands.key import key_command
from eportal_core.commands.log import log_command
from eportal_core.commands.migrate import migrate_command, migratedb_command
from eportal_core.commands.plugins import plugins_command
from eportal_core.commands.root import add_action, root_command
from eportal_core.commands.serve import serve_command
from eportal_core.commands.server import list_servers, server_command
from eportal_core.commands.session import Session, pass_portal
from eportal_core.commands.source import source_group
from eportal_core.commands.source_trust import trust_command
from eportal_core.commands.storage import storage_command
from eportal_core.commands.usage import show_error
from eportal_core.commands.user import add_user_option, user_command
from eportal_core.errors import PortalError
from eportal_core.markers import THE_CORE
from eportal_core.plugins import Plugins, claim, load

PROGRAM = "kc.eportal"
LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
#: Libraries that tell at INFO what they do all day.
TALKATIVE = ("httpx2", "peewee.migrations", "starlette_admin", "tuf", "uvicorn.error")


def build(plugins: Plugins) -> click.Group:
    """The whole command line.

    Raises:
        PluginError: plugins claim the same command, option or product.
    """
    cli = root_command()
    owners: dict[str, str] = {}
    _merge(cli, _core_commands(plugins), THE_CORE, owners)
    for plugin in plugins.implementing("eportal_commands"):
        part = root_command()
        plugins.call(plugin, "eportal_commands", cli=part)
        _merge(cli, part, plugin, owners)
    return cli


def _core_commands(plugins: Plugins) -> click.Group:
    cli = root_command()
    source_group.add_command(trust_command)
    for command in (
        serve_command,
        feed_command,
        key_command(list(plugins.products().values())),
        server_command,
        user_command,
        api_key_command,
        source_group,
        bundle_group,
        cache_mode_command,
        jobs_command,
        log_command,
        storage_command,
        config_command,
        plugins_command,
        doctor_command,
        migrate_command,
        migratedb_command,
    ):
        cli.add_command(command)
    add_action(cli, "--list-servers", pass_portal(list_servers), None, "count servers by key")
    add_action(
        cli,
        "--clean-releases",
        pass_portal(clean_releases),
        None,
        "remove patchsets that no feed needs; with DRY_RUN=1, only tell which",
    )
    add_user_option(cli)
    return cli


def _merge(cli: click.Group, part: click.Group, owner: str, owners: dict[str, str]) -> None:
    for name, command in part.commands.items():
        claim(owners, owner, f"command {name}")
        cli.add_command(command, name)
    for option in part.params:
        claim(owners, owner, f"option {option.opts[0]}")
        cli.params.append(option)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO, stream=sys.stdout)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # What a retry was for is told when it fails.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        # What agents report may have characters that this terminal has not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Who reads our log may go at any time; what is being done is done to its end.
    logging.raiseExceptions = False
    try:
        plugins = load()
        session = Session(plugins, os.environ)
        cli = build(plugins)
        code = cli.main(
            arguments,
            prog_name=PROGRAM,
            obj=session,
            standalone_mode=False,
        )
        sys.stdout.flush()
    except (click.ClickException, PortalError) as error:
        return show_error(error, PROGRAM)
    except click.Abort:
        return 130
    except BrokenPipeError:
        return _reader_has_gone()
    return code if isinstance(code, int) else 0


def _reader_has_gone() -> int:
    """End quietly, as click does when it notices by itself; Python would complain at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return 1
