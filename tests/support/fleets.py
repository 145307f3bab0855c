"""A small fleet of which the HTTP API tells, and API keys to ask it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.auth import api_keys
from eportal_core.models import ApiKey, Checkin, Facts, Server, User, now
from eportal_core.operations import feeds, keys, patchsets, servers
from eportal_core.portal import Portal
from tests.support.patches import DB, KERNEL, WEB, archive, kernel_id

SERVERS = "/admin/api/servers"
#: PROTOCOL.md, section B.
FIELDS = {
    *("ip", "hostname", "id", "key", "feed", "registered", "checkin", "updated", "euname"),
    *("release", "version", "machine", "processor", "virt", "uptime", "kernel_id"),
    *("patch_level", "patch_type", "tags", "kcare_version", "distro", "distro_version"),
    "patchset",
}
OTHER = kernel_id("other")
DAYS = timedelta(days=1)
HOURS = timedelta(hours=1)

Ask = Callable[..., Any]


class Fleet:
    """Six servers of two keys in two feeds; ``id_of`` knows them by their host names.

    web1 runs the latest level, web2 one before, web3 two before; db1 has a kernel that nobody has
    patches for, new1 never checked in, and lab_1 is in the feed ``test`` with the latest of it.
    """

    def __init__(self, portal: Portal, folder: Path) -> None:
        self.portal = portal
        self.id_of: dict[str, str] = {}
        feeds.add(portal, "test")
        keys.add(portal, "K-main")
        keys.add(portal, "K-test", feed="test", products=["kernel", "libcare"])
        for name, level in (("K20260101_01", 1), ("K20260201_01", 2), ("K20260301_01", 3)):
            patchsets.deploy(portal, KERNEL, archive(folder, name, {WEB: level, DB: level}))
        patchsets.deploy(portal, KERNEL, archive(folder, "K20260401_01", {WEB: 4}), feed="test")
        self.add("web1", "10.0.0.1", "K-main", 30, kernel_id=WEB, patch_level=3, distro="Debian")
        self.add("web2", "10.0.0.2", "K-main", 20, kernel_id=WEB, patch_level=2, distro="Debian")
        self.add("web3", "10.0.0.3", "K-main", 10, kernel_id=WEB, patch_level=1, virt="kvm")
        self.add("db1", "10.0.1.1", "K-main", 5, kernel_id=OTHER, patch_level=9, virt="kvm")
        self.add("new1", "10.0.1.2", "K-main", 1)
        self.add("lab_1", "10.0.2.1", "K-test", 0, kernel_id=WEB, patch_level=4)
        self.says("web1", 9, machine="x86_64", release="6.1.0-9", euname="6.1.0-12")
        self.says("web2", 10, machine="x86_64", release="6.1.0-9", euname="6.1.0-11")
        # It was asked, and had nothing to say.
        self.says("web3", 400, machine="aarch64", release="")
        self.says("lab_1", None, machine="aarch64")
        self.heard("web1", 1 * HOURS)
        self.heard("web2", 3 * DAYS)
        self.heard("web3", 16 * DAYS)
        self.heard("db1", 2 * HOURS)
        self.heard("lab_1", 5 * HOURS)
        self.tag("web1", "env:prod;ubuntu")
        self.tag("web2", "env:test;ubuntu")
        self.tag("lab_1", "env:testing")

    def add(self, hostname: str, ip: str, key: str, age: float, **facts: object) -> str:
        server = servers.register(self.portal, key, hostname, ip)
        self.id_of[hostname] = server.id
        Server.update(registered=now() - age * DAYS).where(Server.id == server.id).execute()
        if facts:
            Facts.update(facts).where(Facts.server == server.id).execute()
        return server.id

    def heard(self, hostname: str, ago: timedelta) -> None:
        Checkin.update(time=now() - ago).where(Checkin.server == self.id_of[hostname]).execute()

    def says(self, hostname: str, days: int | None, **facts: str) -> None:
        """days: for which it has been up."""
        server = self.id_of[hostname]
        Facts.update(facts).where(Facts.server == server).execute()
        uptime = None if days is None else days * 86_400
        Checkin.update(uptime=uptime).where(Checkin.server == server).execute()

    def tag(self, hostname: str, tags: str) -> None:
        servers.set_tags(self.portal, self.id_of[hostname], tags)


def new_key(username: str, *, write: bool = False, **limits: Any) -> str:
    """The token of a new API key."""
    token = api_keys.new_token()
    with db.database.atomic():
        ApiKey.new(
            id=token[:16],
            user=User.get_by_id(username),
            name=f"key {token[:4]}",
            digest=api_keys.digest(token),
            write=write,
            **limits,
        )
    return token


def asking(client: TestClient) -> Ask:
    """GETs the list with the arguments it is called with; returns the answer."""

    def get(**arguments: object) -> Any:
        answer = client.get(SERVERS, params=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


def names(answer: Any) -> list[str]:
    """The host names in an answer."""
    return [row["hostname"] for row in answer["result"]]


def by_cursor(ask: Ask, size: int, **arguments: object) -> Iterator[str]:
    """The host names of all pages, each asked for with the cursor of the one before."""
    cursor = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        answer = ask(limit=size, **arguments, **more)
        yield from names(answer)
        cursor = answer["cursor"]
        if cursor is None:
            return
