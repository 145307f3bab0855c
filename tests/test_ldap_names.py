"""Names of users as a real directory takes them: escapes, spellings, the scopes of a filter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eportal_auth_ldap.address import parse_address
from eportal_auth_ldap.errors import Refusal
from eportal_auth_ldap.login import log_in
from eportal_auth_ldap.names import normal_form
from eportal_auth_ldap.search import parse_search
from eportal_auth_ldap.settings import Directory
from eportal_auth_ldap.template import bind_name
from tests.support.proxies import Authority
from tests.support.slapd import PASSWORD, SUFFIX, Slapd, slapd, user


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with slapd(Authority.make(tmp_path_factory.mktemp("ldap") / "ca")) as running:
        yield running


def directory(server: Slapd, wanted: str = "") -> Directory:
    search = parse_search(wanted) if wanted else None
    return Directory(parse_address(server.plain), f"uid=%s,{SUFFIX}", search, None)


def step(server: Slapd, wanted: str, name: str) -> str:
    """The step that keeps ``name`` out, or nothing."""
    try:
        log_in(directory(server, wanted), name, PASSWORD)
    except Refusal as refusal:
        return refusal.step
    return ""


@pytest.mark.parametrize(
    "typed",
    [
        "*",
        "g*",
        "gauss*",
        "gauss)(uid=*",
        "gauss,dc=example,dc=com",
        f"gauss,{SUFFIX}\0",
        "gauss\0",
        "gauss+cn=gauss",
        "gauss\\",
        "gauss\\20",
        "\\67auss",
        "#6761757373",
        "gauss\N{SOFT HYPHEN}",
        "ga\N{ZERO WIDTH SPACE}uss",
        "gauss\N{VARIATION SELECTOR-1}",
        "gauss\n",
        "x" * 200,
        "x" * 5000,
    ],
)
def test_names_that_try_to_be_another(server: Slapd, typed: str) -> None:
    assert step(server, f"{SUFFIX}??sub?(uid=%s)", typed) in ("name", "bind")


@pytest.mark.parametrize(
    ("uid", "escaped"),
    [
        ("a+b", r"a\+b"),
        ("last, first", r"last\, first"),
        ("st*r", "st*r"),
        ("p(x)", "p(x)"),
        ("back\\slash", r"back\\slash"),
        ("#hash", r"\#hash"),
        ("a=b", r"a\=b"),
        ('"q"', r"\"q\""),
        ("größe", "größe"),
        ("straße", "straße"),
        ("σας", "σας"),
        ("zwei worte", "zwei worte"),
    ],
)
def test_names_that_need_escapes_are_found_in_dn_and_filter(
    server: Slapd, uid: str, escaped: str
) -> None:
    dn = f"uid={escaped},{SUFFIX}"
    members = f"objectClass: groupOfUniqueNames\nou: named\ncn: named\nuniqueMember: {dn}"
    server.add(user(uid, dn=dn), f"dn: ou=named,{SUFFIX}\n{members}")
    member = f"{SUFFIX}??one?(&(ou=named)(|(uniqueMember=uid=%s,{SUFFIX})(cn=%s)))"
    try:
        assert log_in(directory(server, member), uid, PASSWORD) == uid
        assert step(server, member, "gauss") == "filter"
        assert log_in(directory(server, f"{SUFFIX}??one?(uid=%s)"), uid, PASSWORD) == uid
        assert log_in(directory(server, f"uid=%s,{SUFFIX}"), uid, PASSWORD) == uid
    finally:
        server.delete(f"ou=named,{SUFFIX}")
        server.delete(dn)


@pytest.mark.parametrize(
    ("wanted", "kept_out"),
    [
        # The scope is base unless given: the entry itself, and no other.
        (f"uid=%s,{SUFFIX}??", ""),
        (f"uid=%s,{SUFFIX}", ""),
        (f"uid=%s,{SUFFIX}??base?(mail=%s@example.com)", ""),
        (f"uid=%s,{SUFFIX}???(mail=%s@example.org)", "filter"),
        (f"{SUFFIX}???(uid=%s)", "filter"),
        (f"{SUFFIX}??one?(uid=%s)", ""),
        (f"{SUFFIX}??SUB?(uid=%s)", ""),
        (f"uid=euler,{SUFFIX}??one?(uid=%s)", "filter"),
        (f"{SUFFIX}??sub?(!(uid=%s))", ""),
        # More than one entry is found; as in a URL, what is special may be written by its number.
        (f"{SUFFIX}??sub?(objectClass=inetOrgPerson)", ""),
        ("dc=example%2Cdc=com??sub?(uid=%s)", ""),
        (f"ou=missing,{SUFFIX}??sub?(uid=%s)", "search base"),
    ],
)
def test_scopes_of_the_filter(server: Slapd, wanted: str, kept_out: str) -> None:
    assert step(server, wanted, "gauss") == kept_out


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Gauss", "gauss"),
        (" carl  friedrich ", "carl friedrich"),
        ("ＧＡＵＳＳ", "gauss"),  # noqa: RUF001
        ("STRASSE", "strasse"),
        ("Straße", "straße"),
        ("Gro\N{COMBINING DIAERESIS}ße", "größe"),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),
        ("\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 200, None),
        ("a:b", None),
        ("  ", None),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", None),
        ("a\ud800b", None),
    ],
)
def test_normal_form(typed: str, name: str | None) -> None:
    assert normal_form(typed) == name


@pytest.mark.parametrize(
    ("template", "name", "bound"),
    [
        ("uid=%s,dc=example,dc=com", "gauss", "uid=gauss,dc=example,dc=com"),
        ("uid=%s,ou=%s,dc=example", "a,b", r"uid=a\,b,ou=a\,b,dc=example"),
        ("email=%s,dc=example,dc=com", "g@example.com", "email=g@example.com,dc=example,dc=com"),
        ("0.9.2342.19200300.100.1.1=%s,dc=x", "a+b", r"0.9.2342.19200300.100.1.1=a\+b,dc=x"),
        ("%s@example.com", "gauss", "gauss@example.com"),
        ("%s@example.com", "gauss@evil.example", None),
        ("%s@example.com", "cn=admin,dc=x", None),
        ("EXAMPLE\\%s", "gauss", "EXAMPLE\\gauss"),
        ("EXAMPLE\\%s", "other\\gauss", None),
        ("%s", "gauss@example.com", "gauss@example.com"),
        ("%s", "cn=admin,dc=example", None),
    ],
)
def test_names_to_bind_with(template: str, name: str, bound: str | None) -> None:
    assert bind_name(template, name) == bound


@pytest.mark.parametrize("password", ["", "\0", "password\0", "\ud800"])
def test_passwords_that_are_none_are_not_sent(server: Slapd, password: str) -> None:
    with pytest.raises(Refusal):
        log_in(directory(server), "gauss", password)
