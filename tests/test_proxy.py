"""Requests that leave by a proxy: tinyproxy, squid and microsocks, each with a password."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests
import urllib3

from eportal_core import http
from eportal_core.config import Config
from eportal_core.downloads import download
from eportal_core.errors import InvalidValue, UpstreamError
from tests.support import proxies
from tests.support.commands import CommandLine
from tests.support.inprocess import InProcess
from tests.support.polling import eventually
from tests.support.proxies import PASSWORD, USER, Authority, Proxy, over_tls
from tests.support.serving import free_ports, serving
from tests.support.upstreams import Upstream, upstream

BODY = b"a patch" * 100_000
Start = Callable[[Path], AbstractContextManager[Proxy]]
PEERS = {
    "tinyproxy": (proxies.tinyproxy, "tinyproxy"),
    "squid": (proxies.squid, "squid"),
    "microsocks": (proxies.microsocks, "microsocks"),
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no", "ftp"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proxies")


@pytest.fixture(scope="module", params=list(PEERS))
def peer(request: pytest.FixtureRequest, folder: Path) -> Iterator[Proxy]:
    start, program = PEERS[request.param]
    assert shutil.which(program), f"{program} is not installed: scripts/test installs it"
    with start(folder / request.param) as running:
        yield running


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority.make(folder / "ca")


@pytest.fixture
def origin() -> Iterator[Upstream]:
    with upstream() as served:
        served.files["/file"] = BODY
        yield served


def config(proxy: str | None) -> Config:
    return Config.of(Path("/var/lib/eportal"), PROXY=proxy)


def fetch(proxy: str | None, url: str, *, tries: int = 1) -> bytes:
    with http.new_session(config(proxy), tries=tries) as session:
        return http.read(session, url, 10**7)


def refused(proxy: str | None, url: str, *, tries: int = 1) -> str:
    with pytest.raises(UpstreamError) as refusal:
        fetch(proxy, url, tries=tries)
    assert not refusal.value.answered
    sentence = str(refusal.value)
    assert PASSWORD not in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# Through


def test_a_plain_address_goes_by_the_proxy(peer: Proxy, origin: Upstream, tmp_path: Path) -> None:
    with http.new_session(config(peer.url())) as session:
        download(session, f"{origin.url}/file", tmp_path / "file", limit=10**7)
    assert (tmp_path / "file").read_bytes() == BODY
    assert peer.used(f"127.0.0.1:{origin.port}")


def test_the_upstream_never_sees_the_password_of_the_proxy(peer: Proxy, origin: Upstream) -> None:
    fetch(peer.url(), f"{origin.url}/file")
    assert "proxy-authorization" not in origin.asked[-1].headers


def test_a_tls_upstream_is_reached_by_the_proxy_and_its_certificate_checked(
    peer: Proxy, origin: Upstream, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tls(authority, origin.port) as url:
        assert "certificate" in refused(peer.url(), f"{url}/file").lower()
        assert not origin.asked
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
        assert fetch(peer.url(), f"{url}/file") == BODY
        assert peer.used(url.removeprefix("https://"))


def test_names_are_looked_up_by_the_proxy_with_socks5h_and_here_with_socks5(
    folder: Path, origin: Upstream
) -> None:
    with proxies.microsocks(folder / "names") as peer:
        url = f"http://localhost:{origin.port}/file"
        assert fetch(peer.url(), url) == BODY
        assert peer.used(f"localhost:{origin.port}")
        here = peer.url().replace("socks5h", "socks5")
        assert fetch(here, url) == BODY
        assert peer.used(f"127.0.0.1:{origin.port}")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_proxy_that_is_spoken_to_over_tls_is_checked_too(
    folder: Path,
    origin: Upstream,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tls: bool,
) -> None:
    with (
        proxies.squid(folder / f"tls-{tls}", authority.own) as peer,
        over_tls(authority, origin.port) as secure,
    ):
        url = f"{secure if tls else origin.url}/file"
        sentence = refused(peer.url(), url)
        assert f"the proxy {peer.bare} cannot be reached" in sentence
        assert "certificate" in sentence.lower()
        assert not origin.asked
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
        assert fetch(peer.url(), url) == BODY
        assert peer.used("127.0.0.1")
        assert "wants a user name" in refused(peer.bare, url)


# Refused, away


@pytest.mark.parametrize(
    ("wrong", "tls"), [("none", False), ("none", True), ("wrong password", True)]
)
def test_a_proxy_that_wants_other_credentials_is_told_once(
    peer: Proxy,
    origin: Upstream,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    tls: bool,
) -> None:
    again: list[object] = []
    monkeypatch.setattr(urllib3.Retry, "sleep", lambda self, response=None: again.append(self))
    proxy = peer.bare if wrong == "none" else peer.url(password=f"{PASSWORD}-not")
    with over_tls(authority, origin.port) as secure:
        url = f"{secure if tls else origin.url}/file"
        sentence = refused(proxy, url, tries=4)
    # A wrong password four times would lock many a user out.
    assert not again
    assert not origin.asked
    assert sentence == (
        f"{url} cannot be had: the proxy {peer.bare} wants a user name and password, or other ones."
    )


def test_a_wrong_password_is_told_for_a_plain_address_too(folder: Path, origin: Upstream) -> None:
    with proxies.squid(folder / "wrong") as peer:
        sentence = refused(peer.url(password="wrong"), f"{origin.url}/file", tries=4)
        assert f"the proxy {peer.bare} wants a user name and password, or other ones" in sentence


def test_an_error_that_may_be_the_proxy_s_names_it(folder: Path, origin: Upstream) -> None:
    with proxies.tinyproxy(folder / "errors") as peer:
        for proxy, status in (
            (peer.url(), "404 Not Found"),
            (peer.url(password="wrong"), "401 Unauthorized"),
        ):
            with pytest.raises(UpstreamError) as refusal:
                fetch(proxy, f"{origin.url}/absent")
            assert f"answered {status}, through the proxy {peer.bare}." in str(refusal.value)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "https://127.0.0.1:9/x"])
def test_a_proxy_that_is_away_is_told(scheme: str, url: str) -> None:
    (port,) = free_ports(1)
    proxy = f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{port}"
    assert refused(proxy, url, tries=2) == (
        f"{url} cannot be had: the proxy {scheme}://127.0.0.1:{port} cannot be reached: "
        "Connection refused."
    )


def test_an_upstream_that_is_away_behind_the_proxy_is_no_fault_of_the_proxy(
    folder: Path,
) -> None:
    (port,) = free_ports(1)
    with proxies.microsocks(folder / "away") as peer:
        sentence = refused(peer.url(), f"http://127.0.0.1:{port}/x")
        assert f"the proxy {peer.bare} does not get there: Connection refused" in sentence
    with proxies.squid(folder / "away-squid") as peer:
        sentence = refused(peer.url(), f"https://127.0.0.1:{port}/x")
        assert f"the proxy {peer.bare} answered 503" in sentence


# Environment


def test_the_environment_decides_when_nothing_is_set(
    folder: Path, origin: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxies.tinyproxy(folder / "environment") as peer:
        monkeypatch.setenv("HTTP_PROXY", peer.url())
        monkeypatch.setenv("http_proxy", peer.url())
        assert fetch(None, f"{origin.url}/file") == BODY
        assert "via" in origin.asked[-1].headers
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert fetch(None, f"{origin.url}/file") == BODY
        assert "via" not in origin.asked[-1].headers


def test_the_setting_wins_over_the_environment_but_not_over_no_proxy(
    folder: Path, origin: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody,) = free_ports(1)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{nobody}")
    with proxies.tinyproxy(folder / "wins") as peer:
        assert fetch(peer.url(), f"{origin.url}/file") == BODY
        assert "via" in origin.asked[-1].headers
        monkeypatch.setenv("NO_PROXY", "localhost, 127.0.0.1")
        assert fetch(peer.url(), f"{origin.url}/file") == BODY
        assert "via" not in origin.asked[-1].headers


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_a_redirect_to_a_host_without_proxy_is_followed_directly(
    folder: Path, origin: Upstream, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Neither the way nor the password of the proxy goes on to it; nor the other way round."""
    with proxies.tinyproxy(folder / f"redirect-{by}") as peer:
        monkeypatch.setenv("NO_PROXY", "localhost")
        if by == "environment":
            monkeypatch.setenv("http_proxy", peer.url())
        proxy = peer.url() if by == "setting" else None
        origin.redirects["/there"] = f"http://localhost:{origin.port}/file"
        origin.redirects["/back"] = f"http://127.0.0.1:{origin.port}/file"
        for first, path in (("127.0.0.1", "/there"), ("localhost", "/back")):
            origin.asked.clear()
            assert fetch(proxy, f"http://{first}:{origin.port}{path}") == BODY
            went = ["via" in request.headers for request in origin.asked]
            assert went == [first == "127.0.0.1", first != "127.0.0.1"]
            assert not any("proxy-authorization" in asked.headers for asked in origin.asked)


def test_an_environment_that_names_no_proxy_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for value in (f"http://{USER}:{PASSWORD}@[bad", f"{USER}:{PASSWORD}@a b:x", f"http://{USER}:"):
        monkeypatch.setenv("http_proxy", value)
        refused(None, "http://127.0.0.1:9/x")


# The setting


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.example.com:3128",
        "ftp://proxy.example.com:3128",
        "socks4://proxy.example.com:1080",
        "http://",
        "http://proxy.example.com:0",
        "http://proxy.example.com:99999",
        "http://proxy.example.com:port",
        "http://proxy.example.com/path",
        f"http://{USER}:{PASSWORD}/with@proxy.example.com:3128",
        f"http://{USER}:{PASSWORD}#with@proxy.example.com:3128",
        f"http://{USER}:{PASSWORD}@[::1:3128",
        f"http://{USER}:{PASSWORD}@proxy example:3128",
        f"socks5://{USER}@proxy.example.com:1080",
        f"socks5://{USER}:{PASSWORD * 20}@proxy.example.com:1080",
    ],
)
def test_what_is_no_proxy_is_refused_at_start_and_not_quoted(kc: InProcess, proxy: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        http.new_session(config(proxy))
    assert re.fullmatch(r"PROXY [^\n]+\.", str(refusal.value))
    done = kc("serve", EPORTAL_PROXY=proxy)
    assert (done.code, done.out) == (2, "")
    assert done.said == str(refusal.value)
    assert PASSWORD not in done.err


def test_the_setting_is_never_shown(cli: CommandLine) -> None:
    said = cli.ok("config", EPORTAL_PROXY=f"http://{USER}:{PASSWORD}@127.0.0.1:3128")
    assert "PROXY" in said
    assert PASSWORD not in said
    assert USER not in said


@pytest.mark.parametrize(
    ("proxy", "user", "password"),
    [
        ("http://anna:p@ss@127.0.0.1:{port}", "anna", "p@ss"),
        ("http://anna:a%2Fb%23c@127.0.0.1:{port}", "anna", "a/b#c"),
        ("http://анна:пароль€@127.0.0.1:{port}", "анна", "пароль€"),
        ("http://anna@127.0.0.1:{port}", "anna", ""),
    ],
)
def test_any_password_reaches_the_proxy_as_it_is(
    origin: Upstream, proxy: str, user: str, password: str
) -> None:
    """The upstream stands for a proxy here, which shows what it was sent."""
    from base64 import b64decode

    origin.files["http://upstream.test/file"] = b"by proxy"
    assert fetch(proxy.format(port=origin.port), "http://upstream.test/file") == b"by proxy"
    token = origin.asked[-1].headers["proxy-authorization"].removeprefix("Basic ")
    assert b64decode(token).decode() == f"{user}:{password}"


# All of the portal


def test_a_portal_fetches_by_the_proxy_and_tells_when_that_is_away(
    folder: Path, origin: Upstream, data_dir: Path
) -> None:
    origin.files["/tool.rpm"] = BODY
    origin.files["/other.rpm"] = BODY
    with proxies.tinyproxy(folder / "portal") as peer:
        settings = {"PROXY": peer.url(), "AGENT_REPO_URL": origin.url}
        with serving(data_dir, **settings) as portal:
            answer = requests.get(f"{portal.url}/repo/tool.rpm", timeout=30)
            assert (answer.status_code, answer.content) == (200, BODY)
            assert "via" in origin.asked[-1].headers
            came = len(origin.asked)
            os.kill(peer.pid, signal.SIGKILL)
            eventually(lambda: not listens(peer))
            assert requests.get(f"{portal.url}/repo/other.rpm", timeout=30).status_code == 503
            assert len(origin.asked) == came
            log = portal.log.read_text()
    assert f"the proxy {peer.bare} cannot be reached" in log
    assert PASSWORD not in log


def listens(peer: Proxy) -> bool:
    host, _, port = peer.host.partition(":")
    with socket.socket() as trial:
        return trial.connect_ex((host, int(port))) == 0
