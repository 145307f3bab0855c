"""By which address the portal was asked: who may say so, and what is an address at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.requests import Request

from eportal_core.config import Config
from eportal_core.errors import ConfigError, InvalidValue
from eportal_core.plugins import load
from eportal_core.portal import Portal
from eportal_core.web.address import configured_address, public_address
from eportal_core.web.proxies import FROM_TRUSTED_PROXY, TrustedProxies
from tests.support import wire
from tests.support.commands import CommandLine
from tests.support.serving import Served, serving
from tests.support.upstreams import nginx

LOOPBACK = "127.0.0.1"


async def seen(client: str, trusted: list[str], *headers: tuple[str, str]) -> dict[str, Any]:
    """The scope that an application gets behind ``TrustedProxies``."""
    scope: dict[str, Any] = {}

    async def application(given: dict[str, Any], receive: object, send: object) -> None:
        scope.update(given)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    request: Any = {
        "type": "http",
        "scheme": "http",
        "client": (client, 50000),
        "server": ("192.0.2.1", 8142),
        "headers": raw,
    }
    nothing: Any = None
    await TrustedProxies(application, trusted)(request, nothing, nothing)
    return scope


def asked(portal: Portal, host: str | None, *, scheme: str = "http", trusted: bool = True) -> str:
    """The address that a request with this Host header leads to."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {
        "type": "http",
        "scheme": scheme,
        "server": ("192.0.2.1", 8142),
        "headers": headers,
        FROM_TRUSTED_PROXY: trusted,
    }
    return public_address(Request(scope), portal)


@pytest.mark.parametrize(
    ("scheme", "host", "address"),
    [
        ("http", "eportal.corp", "http://eportal.corp"),
        ("https", "eportal.corp", "https://eportal.corp"),
        ("http", "EPortal.Corp", "http://eportal.corp"),
        ("ws", "eportal.corp", "http://eportal.corp"),
        ("wss", "eportal.corp:443", "https://eportal.corp"),
        ("http", "eportal.corp:80", "http://eportal.corp"),
        ("https", "eportal.corp:443", "https://eportal.corp"),
        ("https", "eportal.corp:80", "https://eportal.corp:80"),
        ("http", "eportal:65535", "http://eportal:65535"),
        ("http", "10.1.10.115", "http://10.1.10.115"),
        ("http", "10.1.10.115:8142", "http://10.1.10.115:8142"),
        ("http", "[2001:db8::1]", "http://[2001:db8::1]"),
        ("http", "[::1]:8142", "http://[::1]:8142"),
        ("http", "", "http://192.0.2.1:8142"),
        ("http", None, "http://192.0.2.1:8142"),
    ],
)
def test_a_host_that_a_trusted_proxy_names(
    portal: Portal, scheme: str, host: str | None, address: str
) -> None:
    assert asked(portal, host, scheme=scheme) == address


HOSTILE = [
    "x;reboot",
    "$(reboot)",
    "`reboot`",
    "a b",
    "a'b",
    'a"b',
    "a/b",
    "a\\b",
    "user@eportal.corp",
    "eportal.corp#",
    "eportal.corp?x",
    "eportal%2ecorp",
    "ep\xf6rtal",
    "under_score",
    "-a",
    "a-",
    ".corp",
    "corp.",
    "a..b",
    "a:",
    "a:0",
    "a:65536",
    "a:80x",
    "a:1:2",
    "a:-1",
    "a:+1",
    "1.2.3.256",
    "1.2.3",
    "::1",
    "[::1",
    "[::1]x",
    "[::g]",
    "[]",
    "[1.2.3.4]",
    "[fe80::1%eth0]",
    "a" * 64,
    "a." * 127 + "aa",
]


@pytest.mark.parametrize("host", HOSTILE)
def test_what_names_no_host_is_refused(portal: Portal, host: str) -> None:
    with pytest.raises(InvalidValue, match="does not name a host"):
        asked(portal, host)


def test_a_hostile_host_gets_a_sentence_and_never_itself(served: Served) -> None:
    for name in ("install-kernelcare", "set-kernelcare-repo", "set-patch-server"):
        for host in ("x;reboot", "$(reboot)", "a'b", "under_score", "a:0", "a b"):
            head = f"GET /{name} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            reply = wire.exchange(served.url, head.encode())
            assert reply.status == 400
            assert reply.body == (
                b"echo 'ePortal: The Host header of the request does not name a host.' >&2\n"
                b"exit 1\n"
            )
    # wire.request has one Host header already.
    two = wire.exchange(served.url, wire.request("/set-patch-server", "Host: other"))
    assert two.status == 400


def test_anybody_else_only_tells_the_socket(portal: Portal) -> None:
    assert asked(portal, "evil.example.com", trusted=False) == "http://192.0.2.1:8142"
    assert asked(portal, "x;reboot", trusted=False) == "http://192.0.2.1:8142"


FORWARDED = {
    "Host": "eportal.corp",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "other.example.com",
}


def script(url: str, headers: dict[str, str] | None = None) -> str:
    answer = requests.get(f"{url}/set-patch-server", headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.text


def test_headers_count_from_a_trusted_proxy_and_from_nobody_else(data_dir: Path) -> None:
    with serving(data_dir, "--only", "agent") as portal:
        assert "\nPORTAL=https://eportal.corp\n" in script(portal.url, FORWARDED)
        assert f"\nPORTAL={portal.url}\n" in script(portal.url)
    with serving(data_dir, "--only", "agent", TRUSTED_PROXIES="192.0.2.7") as portal:
        text = script(portal.url, FORWARDED)
        assert f"\nPORTAL={portal.url}\n" in text
        assert "https" not in text
        assert "corp" not in text


@pytest.fixture
def proxied(served: Served, tmp_path: Path) -> Iterator[str]:
    """A real nginx before the portal, set up as docs/install.md says."""
    locations = (
        "server_name eportal.corp;\n"
        f"location / {{ proxy_pass {served.url}; proxy_http_version 1.1;"
        'proxy_set_header Connection ""; proxy_set_header Host $http_host;'
        "proxy_set_header X-Forwarded-For $remote_addr;"
        "proxy_set_header X-Forwarded-Proto $scheme; }"
    )
    with nginx(tmp_path / "nginx", locations) as url:
        yield url


def test_nginx_passes_on_how_it_was_called(proxied: str) -> None:
    assert f"\nPORTAL={proxied}\n" in script(proxied)
    # What a client says to nginx of the scheme is replaced there.
    assert "\nPORTAL=http://eportal.corp:8080\n" in script(
        proxied, {"Host": "eportal.corp:8080", "X-Forwarded-Proto": "https"}
    )
    hostile = wire.exchange(
        proxied, b"GET /set-patch-server HTTP/1.1\r\nHost: a_b\r\nConnection: close\r\n\r\n"
    )
    assert hostile.status == 400
    assert b"a_b" not in hostile.body


def test_the_setting_wins(data_dir: Path) -> None:
    with serving(data_dir, "--only", "agent", PORTAL_URL="https://EPortal.corp:443/") as portal:
        assert "\nPORTAL=https://eportal.corp\n" in script(portal.url, {"Host": "x;reboot"})


@pytest.mark.parametrize(
    "url", ["eportal.corp", "ftp://eportal.corp", "https://", "https://a/b", "https://a;b", "//a"]
)
def test_a_setting_that_is_no_address_is_refused(data_dir: Path, url: str) -> None:
    config = Config.of(data_dir, declared=load().settings(), PORTAL_URL=url)
    with pytest.raises(ConfigError, match="PORTAL_URL must be"):
        configured_address(config)


def test_the_portal_does_not_start_with_such_a_setting(cli: CommandLine) -> None:
    done = cli("serve", EPORTAL_PORTAL_URL="https://eportal.corp/portal")
    assert done.returncode == 2
    assert "PORTAL_URL must be a scheme and a host" in done.stderr


@pytest.mark.parametrize(
    ("trusted", "client", "believed"),
    [
        ([LOOPBACK], LOOPBACK, True),
        ([LOOPBACK], "::ffff:127.0.0.1", True),
        ([LOOPBACK], "192.0.2.7", False),
        (["192.0.2.0/24"], "192.0.2.7", True),
        (["192.0.2.0/24"], "192.0.3.7", False),
        (["*"], "203.0.113.9", True),
        ([], LOOPBACK, False),
        (["::1"], "::1", True),
    ],
)
def test_who_is_trusted(trusted: list[str], client: str, believed: bool) -> None:
    headers = [("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.50")]
    scope = asyncio.run(seen(client, trusted, *headers))
    assert scope.get(FROM_TRUSTED_PROXY, False) is believed
    assert scope["scheme"] == ("https" if believed else "http")
    told, _ = scope["client"]
    assert told == ("203.0.113.50" if believed else client.removeprefix("::ffff:"))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("::1", "http://[::1]:8142"),
        ("fe80::1%eth0", "http://[fe80::1]:8142"),
        ("::ffff:192.0.2.1", "http://192.0.2.1:8142"),
    ],
)
def test_the_socket_of_a_portal_that_listens_on_ipv6(
    portal: Portal, host: str, address: str
) -> None:
    scope = {"type": "http", "scheme": "http", "server": (host, 8142), "headers": []}
    assert public_address(Request(scope), portal) == address
