"""``kc.eportal doctor``: is this portal well; exits with 1 when something is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network

import click

from eportal_core import queries
from eportal_core.commands.listing import json_option, print_json
from eportal_core.commands.session import pass_portal
from eportal_core.commands.usage import Command
from eportal_core.data_age import JOB, check_source
from eportal_core.errors import PortalError
from eportal_core.job_runs import is_running
from eportal_core.plugins import listed
from eportal_core.portal import Portal
from eportal_core.types import Check

#: Less free space than this is worth a word, bytes.
_LITTLE_SPACE = 1 << 30


@click.command(
    "doctor",
    cls=Command,
    help="check that the portal is well; exits with 1 when it is not",
    short_help="check that the portal is well",
)
@json_option
@pass_portal
def doctor_command(portal: Portal, as_json: bool) -> None:
    checks = [*_own_checks(portal), *_plugin_checks(portal)]
    if as_json:
        print_json(checks)
    else:
        for check in checks:
            click.echo(f"{'ok ' if check.ok else 'BAD'} {check.name}: {check.finding}")
            if check.advice and not check.ok:
                click.echo(f"    {check.advice}")
    if not all(check.ok for check in checks):
        raise click.exceptions.Exit(1)


def _own_checks(portal: Portal) -> Iterator[Check]:
    for plugin in portal.plugins.problems:
        yield Check(
            f"plugin {plugin.name}",
            False,
            plugin.problem,
            f"Repair or uninstall the distribution {plugin.distribution}.",
        )
    for name, folder in (
        ("data directory", portal.config.data_dir),
        ("patches directory", portal.config.patches_dir),
    ):
        free = shutil.disk_usage(folder).free
        enough = free >= _LITTLE_SPACE
        advice = "Free some space: see kc.eportal storage and kc.eportal --clean-releases."
        yield Check(name, enough, f"{folder}, {free >> 20} MiB free", advice)
    yield check_source(portal, updating=is_running(JOB, portal.config.data_dir))
    yield _check_hosts(portal)
    yield _check_proxies(portal)
    clones = queries.clones()
    for server, names in sorted(clones.items()):
        yield Check(
            f"server {server}",
            False,
            f"{' and '.join(names)} check in under one server id",
            "Unregister and register again on all of them but one.",
        )
    if not clones:
        yield Check("server ids", True, "each is used by one machine")


def _check_hosts(portal: Portal) -> Check:
    if names := portal.config["ALLOWED_HOSTS"]:
        return Check("host names", True, f"the admin side answers as {', '.join(names)}")
    return Check("host names", True, "the admin side answers as any: see ALLOWED_HOSTS")


def _check_proxies(portal: Portal) -> Check:
    trusted = portal.config["TRUSTED_PROXIES"]
    if any(map(_is_everybody, trusted)):
        return Check(
            "proxies",
            False,
            "TRUSTED_PROXIES is everybody: whoever asks may say from where, and for which host",
            "Name the addresses of your proxies in TRUSTED_PROXIES, and no others.",
        )
    return Check("proxies", True, f"{', '.join(trusted) or 'none'} may tell who asks")


def _is_everybody(trusted: str) -> bool:
    with suppress(ValueError):
        return ip_network(trusted).prefixlen == 0
    return trusted == "*"


def _plugin_checks(portal: Portal) -> Iterator[Check]:
    for plugin in portal.plugins.implementing("eportal_checks"):
        try:
            for checks in portal.plugins.call(plugin, "eportal_checks", portal=portal):
                yield from listed(plugin, "eportal_checks", checks, Check)
        except PortalError as error:
            yield Check(f"plugin {plugin}", False, str(error))
