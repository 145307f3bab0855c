"""The way to a real directory: plain, StartTLS, LDAPS; certificates; servers that do not answer."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eportal_auth_ldap.address import Address, parse_address
from eportal_auth_ldap.errors import Fault, Refusal
from eportal_auth_ldap.login import log_in
from eportal_auth_ldap.search import parse_search
from eportal_auth_ldap.settings import Directory
from eportal_core import InvalidValue
from tests.support.proxies import Authority
from tests.support.serving import free_ports
from tests.support.slapd import PASSWORD, SUFFIX, Slapd, slapd

TEMPLATE = f"uid=%s,{SUFFIX}"
#: Answers to a bind and to StartTLS: success. Source: RFC 4511, 4.2.2 and 4.14.2.
BOUND = bytes.fromhex("61070a010004000400")
TLS_NEXT = bytes.fromhex("78070a010004000400")
Serve = Callable[[socket.socket], object]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ca") / "own")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that signed nothing here."""
    return Authority.make(tmp_path_factory.mktemp("ca") / "other")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Slapd]:
    with slapd(authority) as running:
        yield running


def ask(url: str, ca: Path | None = None, password: str = PASSWORD) -> str:
    directory = Directory(parse_address(url), TEMPLATE, None, str(ca) if ca else None)
    return log_in(directory, "gauss", password)


def fault(url: str, ca: Path | None = None) -> tuple[str, str]:
    with pytest.raises(Fault) as caught:
        ask(url, ca)
    assert PASSWORD not in str(caught.value)
    return caught.value.step, caught.value.reason


@contextmanager
def fake(serve: Serve) -> Iterator[str]:
    """Something else that listens: ``serve`` has each connection; yields its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=attend, args=[client], daemon=True).start()

        def attend(client: socket.socket) -> None:
            with client:
                try:
                    serve(client)
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_all_three_ways(server: Slapd, authority: Authority) -> None:
    assert ask(server.plain) == "gauss"
    assert ask(server.start_tls, authority.ca) == "gauss"
    assert ask(server.ldaps, authority.ca) == "gauss"


@pytest.mark.parametrize("way", ["start_tls", "ldaps"])
def test_a_certificate_of_somebody_else(server: Slapd, other: Authority, way: str) -> None:
    url = getattr(server, way)
    step, reason = fault(url, other.ca)
    assert step == "TLS"
    assert reason.startswith("the certificate is not trusted: ")
    # Nor does the system trust an authority that a test has made.
    assert fault(url)[0] == "TLS"
    assert ask(f"{url}?strict_check=0") == "gauss"
    assert ask(f"{url}?strict_check=0", other.ca) == "gauss"


def test_a_certificate_of_another_host(server: Slapd, authority: Authority) -> None:
    url = server.start_tls.replace("127.0.0.1", "127.0.0.2")
    step, reason = fault(url, authority.ca)
    assert step == "TLS"
    assert "not valid for '127.0.0.2'" in reason
    assert ask(f"{url}?strict_check=0", authority.ca) == "gauss"
    assert ask(f"{url}?tls=0") == "gauss"


def test_a_name_instead_of_an_address(server: Slapd, authority: Authority) -> None:
    # It may stand for an IPv6 address too, where nobody listens.
    assert ask(f"ldap://localhost:{server.port}", authority.ca) == "gauss"


def test_a_server_without_tls(authority: Authority) -> None:
    with slapd(authority, tls=False) as bare:
        step, reason = fault(bare.start_tls, authority.ca)
        assert step == "TLS"
        assert reason.startswith("the server offers no StartTLS (protocolError")
        assert ask(bare.plain) == "gauss"


def test_tls_and_no_tls_mixed_up(server: Slapd, authority: Authority) -> None:
    assert fault(f"ldaps://127.0.0.1:{server.port}", authority.ca)[0] == "TLS"
    assert fault(f"ldap://127.0.0.1:{server.tls_port}?tls=0")[0] == "bind"


def answer(request: bytes, operation: bytes, further: int = 0) -> bytes:
    """``operation`` as the answer to ``request``, or to one ``further`` after it."""
    number = int.from_bytes(request[4 : 4 + request[3]], "big") + further
    body = bytes([2, 4, *number.to_bytes(4, "big"), *operation])
    return bytes([0x30, len(body)]) + body


@pytest.mark.parametrize("early", [b"", BOUND])
def test_a_password_is_not_sent_before_the_server_is_known(other: Authority, early: bytes) -> None:
    """Not to one of whom no authority knows, nor if it says yes before it was asked."""
    seen = bytearray()

    def serve(client: socket.socket) -> None:
        request = client.recv(4096)
        seen.extend(request)
        client.sendall(answer(request, TLS_NEXT) + (answer(request, early, 1) if early else b""))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(other.own)
        with context.wrap_socket(client, server_side=True) as secured:
            seen.extend(secured.recv(4096))

    with fake(serve) as place:
        assert fault(f"ldap://{place}?timeout=5")[0] == "TLS"
    assert seen
    assert PASSWORD.encode() not in seen
    assert b"gauss" not in seen


def silence(client: socket.socket) -> None:
    client.recv(1)
    threading.Event().wait(30)


def drip(client: socket.socket) -> None:
    """An answer that always goes on."""
    client.recv(1)
    client.sendall(b"\x30\x83\x00\xff\xff")
    while True:
        client.sendall(b"\x00")
        time.sleep(0.05)


@pytest.mark.parametrize("serve", [silence, drip])
@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_server_that_never_ends_is_left_in_time(serve: Serve, scheme: str) -> None:
    with fake(serve) as place:
        start = time.monotonic()
        step, reason = fault(f"{scheme}://{place}?timeout=1")
        assert time.monotonic() - start < 2.5
    assert step == "TLS"
    if serve is silence:
        assert reason == "the server did not answer within 1 s"


def test_a_drip_that_is_plain_is_left_in_time() -> None:
    with fake(drip) as place:
        start = time.monotonic()
        assert fault(f"ldap://{place}?tls=0&timeout=1") == (
            "bind",
            "the server did not answer within 1 s",
        )
        assert time.monotonic() - start < 2.5


def flood(client: socket.socket) -> None:
    client.sendall(b"\x30\x84\xff\xff\xff\xff")
    while True:
        client.sendall(bytes(1 << 16))


def say(words: bytes) -> Serve:
    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(words)

    return serve


def say_to_it(operation: bytes, further: int = 0) -> Serve:
    def serve(client: socket.socket) -> None:
        client.sendall(answer(client.recv(4096), operation, further))

    return serve


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (lambda client: None, "the server closed the connection"),
        (say(b""), "the server closed the connection"),
        (say(bytes.fromhex("300c020101")), "the server closed the connection"),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), None),
        (say(b"\x30\x05\x02\x01\x01\x61\x00"), "the server does not speak LDAP"),
        (say_to_it(BOUND, further=1), "the server does not speak LDAP"),
        (say_to_it(TLS_NEXT), "the server does not speak LDAP"),
        (flood, "its answer is far too long"),
    ],
)
def test_a_server_that_speaks_something_else(serve: Serve, reason: str | None) -> None:
    with fake(serve) as place:
        step, found = fault(f"ldap://{place}?tls=0&timeout=5")
    assert step == "bind"
    assert found.startswith(reason or "the server ")


@pytest.mark.parametrize("code", [1, 51, 80, 123])
def test_codes_that_are_no_answer_to_the_question(code: int) -> None:
    """An error of the server, also one that no standard knows, is no wrong password."""
    with fake(say_to_it(bytes([0x61, 7, 10, 1, code, 4, 0, 4, 0]))) as place:
        step, reason = fault(f"ldap://{place}?tls=0")
    assert step == "bind"
    assert reason.startswith("the server ")


def test_what_a_server_says_cannot_tear_a_line() -> None:
    words = b"no\n\x1b[31m" + b"x" * 90
    said = bytes([0x61, 7 + len(words), 10, 1, 52, 4, 0, 4, len(words)]) + words
    with fake(say_to_it(said)) as place:
        step, reason = fault(f"ldap://{place}?tls=0")
    assert step == "bind"
    assert reason.isprintable()


def test_success_as_it_is_said() -> None:
    """So that the tests above fail for what they say."""
    with fake(say_to_it(BOUND)) as place:
        assert ask(f"ldap://{place}?tls=0") == "gauss"


def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    assert fault(f"ldap://127.0.0.1:{port}") == ("connect", "Connection refused")


def test_a_name_that_is_nobodys() -> None:
    assert fault("ldap://ldap.invalid?timeout=10")[0] == "address"
    assert fault(f"ldap://{'x' * 70}.example")[0] == "address"


def test_referrals_are_not_followed(server: Slapd) -> None:
    asked: list[bytes] = []
    with fake(lambda client: asked.append(client.recv(4096))) as place:
        server.add(
            f"dn: ou=away,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\n"
            f"ou: away\nref: ldap://{place}/ou=away,{SUFFIX}"
        )
        address = parse_address(server.plain)
        search = parse_search(f"ou=away,{SUFFIX}??sub?(uid=%s)")
        with pytest.raises(Fault, match="referral"):
            log_in(Directory(address, TEMPLATE, search, None), "gauss", PASSWORD)
        search = parse_search(f"{SUFFIX}??sub?(uid=%s)")
        assert log_in(Directory(address, TEMPLATE, search, None), "gauss", PASSWORD) == "gauss"
        search = parse_search(f"{SUFFIX}??sub?(uid=nobody)")
        with pytest.raises(Refusal):
            log_in(Directory(address, TEMPLATE, search, None), "gauss", PASSWORD)
        there = f"ldap://{place}".encode()
        away = bytes([0x61, 11 + len(there), *bytes.fromhex("0a010a04000400a3"), 2 + len(there)])
        with fake(say_to_it(away + bytes([4, len(there)]) + there)) as referring:
            step, reason = fault(f"ldap://{referring}?tls=0")
        assert step == "bind"
        assert "(referral" in reason
    assert asked == []


def test_a_file_of_certificates_that_is_none(server: Slapd, tmp_path: Path) -> None:
    assert fault(server.ldaps, tmp_path / "missing.pem")[0] == "settings"
    (tmp_path / "empty.pem").write_text("")
    assert fault(server.ldaps, tmp_path / "empty.pem") == (
        "settings",
        f"LDAP_CA_FILE, {tmp_path}/empty.pem, cannot be used: it has no certificates",
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ldap://ldap.example.com", Address("ldap.example.com", 389)),
        ("ldaps://ldap.example.com", Address("ldap.example.com", 636, "ldaps")),
        (
            "ldap://ldap.forumsys.com?tls=0&timeout=30",
            Address("ldap.forumsys.com", 389, None, timeout=30),
        ),
        ("LDAP://Host:1389/", Address("Host", 1389)),
        ("ldaps://h:1636/?strict_check=0", Address("h", 1636, "ldaps", strict=False)),
        ("ldaps://h?tls=0", Address("h", 636, "ldaps")),
        ("ldap://h?tls=1&strict_check=1", Address("h", 389)),
        ("ldap://[::1]:1389?timeout=1", Address("::1", 1389, timeout=1)),
        ("ldap://192.0.2.1?", Address("192.0.2.1", 389)),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ldap.example.com",
        "http://ldap.example.com",
        "ldapi:///var/run/slapd",
        "ldap://",
        "ldap://:389",
        "ldap://h:0",
        "ldap://h:65536",
        "ldap://h:x",
        "ldap://user:secret@h",
        "ldap://h/dc=example,dc=com",
        "ldap://h#x",
        "ldap://one two",
        "ldap://one,two",
        "ldap://one ldap://two",
        "ldap://[::1",
        "ldap://[::x]",
        "ldap://-h",
        "ldap://h?timeout=0",
        "ldap://h?timeout=301",
        "ldap://h?timeout=1.5",
        "ldap://h?timeout=",
        "ldap://h?tls=no",
        "ldap://h?tls=0&tls=1",
        "ldap://h?tsl=0",
        "ldap://h?tls=0&",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_address(url)
    assert str(caught.value).endswith(".")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["dc=x?sub?(uid=%s)", "dc=x??all?(uid=%s)", "dc=x??sub?uid=%s", "dc=%ff??sub?(a=b)"]
)
def test_filters_that_are_none(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_search(text)
