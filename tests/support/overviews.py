"""A fleet of which the overview has something to tell, and what stands on a page."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from eportal_core.models import Checkin
from eportal_core.operations import keys, servers
from eportal_core.portal import Portal
from tests.support.fleets import DAYS, HOURS, Fleet
from tests.support.patches import WEB

DAY = 86_400
_LINK = re.compile(r'<a [^>]*href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
_TAG = re.compile(r"<title>.*?</title>|<[^>]+>", re.DOTALL)


def made(portal: Portal, folder: Path) -> Fleet:
    """The fleet of ``Fleet``, and 24 servers of 12 systems with kernels of their own.

    One system is told by nobody else, one name wants quoting, and every third server is silent.
    """
    fleet = Fleet(portal, folder)
    keys.add(portal, "K-kernel", products=["kernel"])
    for number in range(24):
        name, system = f"app{number:02}", number % 12
        fleet.add(
            name,
            f"10.7.0.{number}",
            "K-kernel" if number % 2 else "K-main",
            number,
            kernel_id=WEB,
            patch_level=1 + number % 3,
            distro=f"Système & {system}" if system else "AlmaLinux",
            release=f"5.14.0-{number}.el9",
            euname=f"5.14.0-{number + 100}.el9",
            machine=("x86_64", "x86_64", "aarch64")[number % 3],
        )
        fleet.heard(name, 3 * DAYS if number % 3 == 0 else 1 * HOURS)
        up(fleet, name, number * 30 * DAY + 4000)
    servers.unregister(portal, fleet.add("gone", "10.7.1.1", "K-main", 0))
    return fleet


def up(fleet: Fleet, hostname: str, seconds: int) -> None:
    """``hostname`` has told this uptime."""
    Checkin.update(uptime=seconds).where(Checkin.server == fleet.id_of[hostname]).execute()


def links(page: str) -> list[tuple[str, str]]:
    """Address and text of each link, without what only a pointer sees."""
    return [
        (html.unescape(href), " ".join(html.unescape(_TAG.sub(" ", text)).split()))
        for href, text in _LINK.findall(page)
    ]


def numbers(page: str) -> list[tuple[str, int]]:
    """The links that are a number and lead to the list of servers: query, and the number."""
    found: list[tuple[str, int]] = []
    for href, text in links(page):
        path, _, query = href.partition("?")
        first = text.split(" ")[0].replace(",", "")
        if path == "/admin/servers" and first.isdigit() and not text.endswith(("days", "hours")):
            found.append((query, int(first)))
    return found


def cells(page: str, label: str) -> list[list[Any]]:
    """The lines of the table that is called ``label``, as texts."""
    _, _, after = page.partition(f'role="region" aria-label="{label}"')
    table = after.partition("</table>")[0]
    return [
        [
            " ".join(html.unescape(_TAG.sub(" ", cell)).split())
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)
        ]
        for line in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    ]
