"""A real directory: OpenLDAP's slapd on free ports, with the users of the documents.

The entries are those of the public test server that the documentation of ePortal shows.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.polling import eventually
from tests.support.proxies import Authority
from tests.support.serving import free_ports

SUFFIX = "dc=example,dc=com"
PASSWORD = "password"
USERS = ("einstein", "newton", "galieleo", "tesla", "gauss", "euler", "euclid", "riemann")
GROUPS = {
    "mathematicians": ("euclid", "riemann", "euler", "gauss", "test"),
    "scientists": ("einstein", "galieleo", "tesla", "newton"),
}
#: Where Debian and its kin have the program, which is not on everybody's path.
_PROGRAM = shutil.which("slapd", path=f"{os.environ['PATH']}:/usr/sbin")
_ADMIN = ("-D", f"cn=admin,{SUFFIX}", "-w", PASSWORD)
_SCHEMAS = Path("/etc/ldap/schema")
_MODULES = Path("/usr/lib/ldap")


@dataclass(frozen=True)
class Slapd:
    """A server that runs; its certificate, if it has one, is for 127.0.0.1 and localhost."""

    port: int
    tls_port: int
    authority: Authority

    @property
    def plain(self) -> str:
        return f"ldap://127.0.0.1:{self.port}?tls=0"

    @property
    def start_tls(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def ldaps(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def add(self, *entries: str) -> None:
        """Add entries in LDIF while it runs."""
        self._tool("ldapadd", "\n\n".join(entries))

    def delete(self, dn: str) -> None:
        self._tool("ldapdelete", f"{dn}\n")

    def _tool(self, program: str, text: str) -> None:
        done = subprocess.run(
            [program, "-x", "-H", f"ldap://127.0.0.1:{self.port}", *_ADMIN],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def user(uid: str, *, dn: str = "") -> str:
    """A person in LDIF; ``dn`` when the uid needs escapes there."""
    mail = f"mail: {uid}@example.com\n" if uid.isascii() else ""
    return (
        f"dn: {dn or f'uid={uid},{SUFFIX}'}\nobjectClass: inetOrgPerson\nuid: {uid}\n"
        f"cn: {uid}\nsn: {uid}\n{mail}userPassword: {PASSWORD}"
    )


def group(name: str, members: Iterable[str]) -> str:
    """A group in LDIF, as the documents show it."""
    lines = [f"uniqueMember: uid={member},{SUFFIX}" for member in members]
    return "\n".join(
        [
            f"dn: ou={name},{SUFFIX}",
            "objectClass: groupOfUniqueNames",
            "objectClass: top",
            f"ou: {name}",
            f"cn: {name.title()}",
            *lines,
        ]
    )


@contextmanager
def slapd(authority: Authority, *, tls: bool = True) -> Iterator[Slapd]:
    """A directory with ``USERS`` and ``GROUPS``; without ``tls`` it offers none."""
    assert _PROGRAM is not None, "slapd is not installed"
    port, tls_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="slapd-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        config = folder / "slapd.conf"
        config.write_text(_config(folder, authority if tls else None))
        subprocess.run(
            [_PROGRAM, "-T", "add", "-q", "-f", config],
            input="\n\n".join(_entries()).encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        places = [f"ldap://127.0.0.1:{port}", f"ldap://127.0.0.2:{port}"]
        places += [f"ldaps://127.0.0.1:{tls_port}"] if tls else []
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [_PROGRAM, "-d", "0", "-f", config, "-h", " ".join(places)], stdout=log, stderr=log
            )
        try:
            eventually(lambda: process.poll() is not None or _answers(port), 30)
            assert process.poll() is None, (folder / "log").read_text()
            yield Slapd(port, tls_port, authority)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _config(folder: Path, authority: Authority | None) -> str:
    lines = [f"include {_SCHEMAS}/{name}.schema" for name in ("core", "cosine", "inetorgperson")]
    if authority is not None:
        lines += [f"TLSCertificateFile {authority.own}", f"TLSCertificateKeyFile {authority.own}"]
    lines += [
        f"modulepath {_MODULES}",
        "moduleload back_mdb",
        f"pidfile {folder}/pid",
        "database mdb",
        "maxsize 10485760",
        f'suffix "{SUFFIX}"',
        f'rootdn "cn=admin,{SUFFIX}"',
        f"rootpw {PASSWORD}",
        f"directory {folder}/data",
    ]
    return "\n".join(lines) + "\n"


def _entries() -> Iterator[str]:
    yield f"dn: {SUFFIX}\nobjectClass: domain\ndc: example"
    yield from (user(name) for name in USERS)
    yield from (group(name, members) for name, members in GROUPS.items())


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
