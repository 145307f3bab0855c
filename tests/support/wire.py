"""Bytes on a socket, for what no HTTP library would send."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """An answer as it came; ``status`` is 0 when the connection ended without one."""

    status: int
    body: bytes


def connect(url: str, seconds: float = 10.0) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    return socket.create_connection((address.hostname, address.port), timeout=seconds)


def exchange(url: str, *parts: bytes, seconds: float = 10.0) -> Reply:
    """Send ``parts`` and read until the other side closes."""
    with connect(url, seconds) as sock:
        try:
            for part in parts:
                sock.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            # It answered and hung up before it had read everything.
            pass
        return reply(sock)


def reply(sock: socket.socket) -> Reply:
    """What ``sock`` brings until it ends."""
    received = bytearray()
    try:
        while chunk := sock.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    status = head.split(b" ")[1] if head.startswith(b"HTTP/1.1 ") else b"0"
    return Reply(int(status), body)


def request(
    path: bytes | str,
    *headers: str | bytes,
    method: str = "GET",
    body: bytes = b"",
) -> bytes:
    """A request that asks for the connection to be closed; nothing in it is checked."""
    lines = [
        f"{method} ".encode() + _bytes(path) + b" HTTP/1.1",
        b"Host: portal",
        b"Connection: close",
        *map(_bytes, headers),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
