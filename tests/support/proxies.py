"""Real proxies on the loopback: tinyproxy, squid and microsocks, with a user and a password."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.polling import eventually
from tests.support.serving import free_ports

USER = "porter"
PASSWORD = "s3cret-w0rd"


@dataclass(frozen=True)
class Proxy:
    """A proxy at ``host``, ``127.0.0.1:port``; ``log`` tells what went through."""

    scheme: str
    host: str
    log: Path
    pid: int

    def url(self, user: str = USER, password: str = PASSWORD) -> str:
        return f"{self.scheme}://{user}:{password}@{self.host}"

    @property
    def bare(self) -> str:
        return f"{self.scheme}://{self.host}"

    def used(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


def forget_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies of whoever runs the tests, and what he reaches without one, do not count."""
    for name in ("http", "https", "all", "no", "ftp"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)


@contextmanager
def tinyproxy(folder: Path) -> Iterator[Proxy]:
    (port,) = free_ports(1)
    folder.mkdir()
    log = folder / "log"
    config = folder / "tinyproxy.conf"
    config.write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 20\nMaxClients 50\nLogLevel Connect\n"
        f'BasicAuth {USER} {PASSWORD}\nViaProxyName "tiny"\nDisableViaHeader No\n'
    )
    with _running(["tinyproxy", "-d", "-c", str(config)], log, port) as pid:
        yield Proxy("http", f"127.0.0.1:{port}", log, pid)


@contextmanager
def squid(folder: Path, certificate: Path | None = None) -> Iterator[Proxy]:
    """With ``certificate`` (and its key in one file), it is spoken to over TLS."""
    (port,) = free_ports(1)
    folder.mkdir()
    users = folder / "users"
    users.write_text(f"{USER}:{_crypted(PASSWORD)}\n")
    own = folder / "own.pem"
    listens = f"http_port 127.0.0.1:{port}"
    if certificate is not None:
        shutil.copy(certificate, own)
        listens = f"https_port 127.0.0.1:{port} tls-cert={own}"
    log = folder / "access.log"
    config = folder / "squid.conf"
    config.write_text(
        f"{listens}\npid_filename {folder}/pid\ncache_log {folder}/cache.log\n"
        f"access_log stdio:{log}\ncoredump_dir {folder}\ncache deny all\nshutdown_lifetime 0\n"
        "visible_hostname proxy.test\npinger_enable off\nlogfile_rotate 0\nnetdb_filename none\n"
        f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {users}\n"
        "auth_param basic realm test\nacl known proxy_auth REQUIRED\n"
        "http_access allow known\nhttp_access deny all\n"
    )
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "proxy", "proxy")
    _open_the_way(folder)
    with _running(["squid", "-N", "-f", str(config)], folder / "out", port) as pid:
        scheme = "http" if certificate is None else "https"
        yield Proxy(scheme, f"127.0.0.1:{port}", log, pid)


@contextmanager
def microsocks(folder: Path) -> Iterator[Proxy]:
    """It logs each connection as ``client[n] 127.0.0.1: connected to HOST:PORT``."""
    (port,) = free_ports(1)
    folder.mkdir()
    command = ["microsocks", "-i", "127.0.0.1", "-p", str(port), "-u", USER, "-P", PASSWORD]
    with _running(command, folder / "log", port) as pid:
        yield Proxy("socks5h", f"127.0.0.1:{port}", folder / "log", pid)


@dataclass(frozen=True)
class Authority:
    """Certificates for 127.0.0.1: ``ca`` signs ``own``, which holds its key too."""

    ca: Path
    own: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        folder.mkdir()
        made = cls(folder / "ca.pem", folder / "own.pem")
        _openssl(
            folder,
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Test"
            " -keyout ca.key -out ca.pem -addext keyUsage=critical,keyCertSign,cRLSign",
        )
        _openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=own -keyout own.key -out own.csr")
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl(
            folder,
            "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
            " -days 2 -extfile ext -out own.crt",
        )
        made.own.write_text((folder / "own.crt").read_text() + (folder / "own.key").read_text())
        return made


@contextmanager
def over_tls(authority: Authority, port: int) -> Iterator[str]:
    """What listens on ``port``, under an address of its own that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.own)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=[listener, context, port], daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=[client, context, port], daemon=True).start()


def _relay(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """One request, then the answer until the server behind closes."""
    try:
        with (
            context.wrap_socket(client, server_side=True) as near,
            socket.create_connection(("127.0.0.1", port)) as far,
        ):
            far.sendall(near.recv(1 << 16).replace(b"keep-alive", b"close"))
            while piece := far.recv(1 << 16):
                near.sendall(piece)
    except OSError:
        client.close()


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[int]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        eventually(lambda: _listens(process, port, log))
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def _open_the_way(folder: Path) -> None:
    """Folders of tests are their user's alone; squid drops to a user of its own."""
    for parent in folder.parents:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


def _crypted(password: str) -> str:
    return subprocess.run(
        ["openssl", "passwd", "-apr1", password], check=True, capture_output=True, text=True
    ).stdout.strip()


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(
        ["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True, timeout=60
    )
