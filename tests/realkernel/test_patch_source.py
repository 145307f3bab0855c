"""From a publisher to a kernel: over a proxy and two portals, and then without a network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import CommandLine
from tests.support.polling import eventually
from tests.support.proxies import Proxy, forget_environment, tinyproxy
from tests.support.serving import Served, serving
from tests.support.upstreams import nginx

from .kernel import Kernel
from .patched import KEY, check_guest, packed

FIRST, SECOND = "K20260101_01", "K20260102_01"
#: What the first portal has to tell the publisher, and the second one the first.
PUBLISHED = ("first", "let me in")
MIRRORED = ("second", "me too")


def test_a_kernel_is_patched_over_two_portals_and_by_a_bundle(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_environment(monkeypatch)
    publisher = Publisher.start(tmp_path / "publisher")
    publisher.publish(kernel, FIRST, level=1)
    user, password = MIRRORED
    disk = tmp_path / "disk"
    disk.mkdir()
    with serving(tmp_path / "second") as second:
        with (
            publisher.web() as web,
            tinyproxy(tmp_path / "proxy") as proxy,
            serving(
                tmp_path / "first",
                PROXY=proxy.url(),
                PUBLISH_SOURCE="mirror",
                PUBLISH_SOURCE_USER=user,
                PUBLISH_SOURCE_PASSWORD=password,
            ) as first,
        ):
            read(first, web.url, *PUBLISHED, publisher.fingerprint)
            first.cli.ok("kcare", "update")
            eventually(lambda: Counter() != web.asked() == passed(proxy, web))

            asked = web.asked()
            second.cli.ok("feed", "-a", "early", "--auto")
            second.cli.ok("key", "-a", KEY, "--feed", "early")
            read(second, f"{first.url}/source", *MIRRORED, publisher.fingerprint)
            second.cli.ok("jobs", "run", "update-patches")
            check_guest(second, kernel, "guest-one", level=1, patchset=FIRST)
            assert web.asked() == asked

            publisher.publish(kernel, SECOND, level=2)
            second.cli.ok("bundle", "receipt", disk / "receipt.json")
            first.cli.ok("bundle", "create", "--since", disk / "receipt.json", disk / "bundle")
            assert carried(disk / "bundle") == [SECOND]

        # Nothing runs now but the second portal.
        refusal = second.cli("kcare", "update")
        assert refusal.returncode == 1
        assert "Connection refused" in refusal.stderr
        second.cli.ok("config", "unset", "PATCH_SOURCE_URL")
        second.cli.ok("bundle", "apply", disk / "bundle")
        check_guest(second, kernel, "guest-two", level=2, patchset=SECOND)

    (receipt,) = (disk / "bundle").glob("receipt-*.json")
    with publisher.web() as web, tinyproxy(tmp_path / "proxy-again") as proxy:
        first.cli.ok("config", "set", "PATCH_SOURCE_URL", web.url)
        proxied = {"EPORTAL_PROXY": proxy.url()}
        first.cli.ok("bundle", "create", "--since", receipt, disk / "next", **proxied)
        assert proxy.used(web.url)
    assert carried(disk / "next") == []


@dataclass(frozen=True)
class Web:
    """The publisher's web server; it logs as ``combined`` says."""

    url: str
    log: Path

    def asked(self) -> Counter[str]:
        """How often it was asked for each path, by the first portal alone."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        assert {words[2] for words in lines} <= {PUBLISHED[0]}
        return Counter(words[6] for words in lines)


@dataclass(frozen=True)
class Publisher:
    """A folder with a source, and whoever signs it there."""

    folder: Path
    cli: CommandLine
    fingerprint: str

    @classmethod
    def start(cls, folder: Path) -> Publisher:
        folder.mkdir()
        cli = CommandLine(folder / "var", {})
        made = cli.ok("source", "init", folder / "source")
        (fingerprint,) = re.findall(r"^Fingerprint: (\w{64})$", made, re.MULTILINE)
        return cls(folder, cli, fingerprint)

    def publish(self, kernel: Kernel, name: str, level: int) -> None:
        archive = packed(self.cli, kernel, self.folder, name, level)
        self.cli.ok("source", "add", self.folder / "source", archive)
        self.cli.ok("source", "publish", self.folder / "source")

    @contextmanager
    def web(self) -> Iterator[Web]:
        """The source behind a real nginx that wants a password."""
        users, log = self.folder / "users", self.folder / "access.log"
        users.write_text("{}:{{PLAIN}}{}\n".format(*PUBLISHED))
        locations = (
            "location = / { return 204; }"
            f"location / {{ root {self.folder}/source; access_log {log};"
            f" auth_basic source; auth_basic_user_file {users}; }}"
        )
        with nginx(self.folder / "nginx", locations) as url:
            yield Web(url, log)


def read(portal: Served, url: str, user: str, password: str, fingerprint: str) -> None:
    """Let a portal that runs read a source, as people type it."""
    portal.cli.ok("config", "set", "PATCH_SOURCE_URL", url)
    portal.cli.ok("config", "set", "PATCH_SOURCE_USER", user)
    portal.cli.ok("config", "set", "PATCH_SOURCE_PASSWORD", password)
    portal.cli.ok("source", "trust", "--fingerprint", fingerprint)


def passed(proxy: Proxy, web: Web) -> Counter[str]:
    """How often the proxy was asked for each path of ``web``, and nothing else."""
    addresses = re.findall(r"GET (\S+) HTTP", proxy.log.read_text())
    assert all(address.startswith(f"{web.url}/") for address in addresses)
    return Counter(address.removeprefix(web.url) for address in addresses)


def carried(bundle: Path) -> list[str]:
    """Names of the patchsets whose archives are in the bundle."""
    return [path.name.split(".")[1] for path in bundle.glob("targets/*/*.tar.bz2")]
