"""``kc.eportal ldap test``, the settings and the doctor; and what a user sees when all fails."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import eportal_auth_ldap
from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.db import FILE_NAME as DATABASE
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.plugins import Installed
from tests.support.proxies import Authority
from tests.support.serving import free_ports
from tests.support.slapd import PASSWORD, SUFFIX, Slapd, slapd

CONNECTION = f"uid=%s,{SUFFIX}"
FILTER = f"{SUFFIX}??one?(&(ou=mathematicians)(uniqueMember=uid=%s,{SUFFIX}))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with slapd(Authority.make(tmp_path_factory.mktemp("ldap") / "ca")) as running:
        yield running


def configured(kc: InProcess, **settings: object) -> InProcess:
    for name, value in settings.items():
        kc.ok("config", "set", f"LDAP_{name}", value)
    return kc


def steps(text: str) -> list[str]:
    return [line.partition(":")[0] for line in text.splitlines()]


def findings(kc: InProcess, **environ: str) -> list[Any]:
    told = json.loads(kc("doctor", "--json", **environ).out)
    return [each for each in told if each["name"] == "ldap"]


def test_every_step_is_told(kc: InProcess, server: Slapd) -> None:
    configured(
        kc,
        URL=server.start_tls,
        CONNECTION=CONNECTION,
        FILTER=FILTER,
        CA_FILE=server.authority.ca,
    )
    told = kc.ok("ldap", "test", "Gauss", "-p", PASSWORD)
    assert steps(told) == [
        "ok  settings",
        "ok  address",
        "ok  connect",
        "ok  TLS",
        "ok  bind",
        "ok  search base",
        "ok  filter",
        "gauss may log in",
    ]
    assert PASSWORD not in told
    with closing(sqlite3.connect(kc.data_dir / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM user").fetchone() == (0,)


@pytest.mark.parametrize(
    ("settings", "user", "password", "failed"),
    [
        ({"FILTER": FILTER}, "tesla", PASSWORD, "BAD filter: "),
        ({"FILTER": f"ou=x,{SUFFIX}??sub?(uid=%s)"}, "gauss", PASSWORD, "BAD search base: ou=x,"),
        ({}, "gauss", "guess", "BAD bind: the server does not let uid=gauss"),
        ({}, "gauss", "", "BAD bind: the password is empty"),
        ({}, "a:b", PASSWORD, "BAD name: "),
        ({}, "a/b", PASSWORD, "BAD name: "),
        ({"CONNECTION": "uid=gauss"}, "gauss", PASSWORD, "BAD settings: LDAP_CONNECTION must"),
        ({"CONNECTION": "%s@example.com"}, "a,b", PASSWORD, "BAD name: no account is"),
        ({"CONNECTION": "uid=%s,,"}, "gauss", PASSWORD, "BAD bind: the server refused"),
        ({"FILTER": "dc=x??sub?(a=b"}, "gauss", PASSWORD, "BAD settings: LDAP_FILTER has no"),
        ({"URL": "ldap://h?tsl=0"}, "gauss", PASSWORD, "BAD settings: LDAP_URL has no parameter"),
        ({"URL": "ldap://nobody.invalid"}, "gauss", PASSWORD, "BAD address: the name nobody"),
    ],
)
def test_the_step_that_fails_is_told(
    kc: InProcess, server: Slapd, settings: dict[str, str], user: str, password: str, failed: str
) -> None:
    given = {"URL": server.plain, "CONNECTION": CONNECTION, **settings}
    environ = {f"EPORTAL_LDAP_{name}": value for name, value in given.items()}
    done = kc("ldap", "test", user, "-p", password, **environ)
    assert done.code == 1
    assert done.err.startswith(failed)
    assert done.err.count("\n") == 1
    assert not password or password not in done.err + done.out


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LDAP_URL", "http://ldap.example.com", "LDAP_URL must be <scheme>://<host>"),
        ("LDAP_URL", "ldap://h?tsl=0", "LDAP_URL has no parameter 'tsl'"),
        ("LDAP_CONNECTION", "uid=gauss", "LDAP_CONNECTION must have %s"),
        ("LDAP_FILTER", "dc=x?cn?sub?(a=b)", "LDAP_FILTER must be <base>??<scope>?<filter>"),
    ],
)
def test_what_cannot_be_is_not_set(kc: InProcess, name: str, value: str, sentence: str) -> None:
    assert kc.refused("config", "set", name, value, code=2).startswith(sentence)


def test_a_certificate_that_is_not_trusted_is_told(kc: InProcess, server: Slapd) -> None:
    configured(kc, URL=server.ldaps, CONNECTION=CONNECTION)
    done = kc("ldap", "test", "gauss", "-p", PASSWORD)
    assert done.code == 1
    assert steps(done.out) == ["ok  settings", "ok  address", "ok  connect"]
    assert done.err.startswith("BAD TLS: the certificate is not trusted: ")


def test_the_password_is_read_when_none_is_given(
    kc: InProcess, server: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(kc, URL=server.plain, CONNECTION=CONNECTION)
    for arguments in ([], ["-p", "-"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
        told = kc.ok("ldap", "test", "gauss", *arguments)
        assert told.endswith("gauss may log in\n")
        assert PASSWORD not in told


def test_without_a_url(kc: InProcess) -> None:
    done = kc("ldap", "test", "gauss", "-p", PASSWORD)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("BAD settings: LDAP_URL is not set")
    assert findings(kc) == []


def test_the_doctor_reaches_the_directory(kc: InProcess, server: Slapd) -> None:
    configured(kc, URL=server.plain, CONNECTION=CONNECTION)
    (found,) = findings(kc)
    assert found["ok"]
    assert found["finding"].endswith("nothing is encrypted")
    configured(kc, URL=server.start_tls)
    (found,) = findings(kc)
    assert not found["ok"]
    assert found["finding"].startswith("TLS: the certificate is not trusted")
    (found,) = findings(kc, EPORTAL_LDAP_URL="ldap:/nothing")
    assert found["finding"].startswith("settings: LDAP_URL must be ")


def test_a_directory_that_is_away(
    installed: Installed, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The user learns nothing of why, the log all of it, and nobody is refused for it."""
    (port,) = free_ports(1)
    installed.plugin("auth_ldap", eportal_auth_ldap.plugin)
    url = f"ldap://127.0.0.1:{port}"
    portal = opened(data_dir, installed.load(), LDAP_URL=url, LDAP_CONNECTION=CONNECTION)
    credentials = b64encode(f"gauss:{PASSWORD}".encode()).decode()
    with (
        caplog.at_level(logging.INFO, "eportal"),
        TestClient(admin_app(portal), raise_server_exceptions=False) as client,
    ):
        answer = client.get("/admin/api/whoami", headers={"Authorization": f"Basic {credentials}"})
    db.close()
    assert answer.status_code >= 500
    assert answer.json()["detail"] == "Users cannot be looked up; the portal's log says why."
    assert "The LDAP directory cannot be asked (connect): Connection refused." in caplog.text
    assert PASSWORD not in caplog.text
