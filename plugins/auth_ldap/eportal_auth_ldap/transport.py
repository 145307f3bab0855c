"""A socket to the server, secured or not, that is never waited for longer than a deadline."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from eportal_auth_ldap.address import Address
from eportal_auth_ldap.errors import Fault

#: No answer to a login is larger, bytes.
_ANSWER_MAX = 1 << 20

#: Family, and what ``socket.connect`` takes.
Place = tuple[int, Any]


@dataclass(frozen=True)
class Deadline:
    """When all must be over; ``seconds`` is what there was at first."""

    seconds: float
    end: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "end", time.monotonic() + self.seconds)

    def left(self) -> float:
        """Seconds that are left, more than none.

        Raises:
            TimeoutError: none are.
        """
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Wire:
    """What the client reads from and writes to; ``error`` is why that went wrong last."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self.connected = connected
        self.error: Exception | None = None
        self._deadline = deadline
        self._left = _ANSWER_MAX

    def recv(self, size: int) -> bytes:
        try:
            self.connected.settimeout(self._deadline.left())
            data = self.connected.recv(size)
            self._left -= len(data)
            if self._left < 0:
                raise OSError("its answer is far too long")
        except OSError as error:
            self.error = error
            raise
        return data

    def sendall(self, data: bytes) -> None:
        try:
            self.connected.settimeout(self._deadline.left())
            self.connected.sendall(data)
        except OSError as error:
            self.error = error
            raise

    def shutdown(self, how: int) -> None:
        self.connected.shutdown(how)

    def close(self) -> None:
        self.connected.close()


def resolve(address: Address, deadline: Deadline) -> list[Place]:
    """Where the server is; one of these should answer.

    Raises:
        Fault: its name is not known, or nobody tells in time.
    """
    found: queue.SimpleQueue[list[Place] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except OSError as error:
            found.put(error)
        # A label that is too long, or empty.
        except UnicodeError as error:
            found.put(OSError(str(error)))
        else:
            found.put([(family, place) for family, _, _, _, place in answers])

    # The resolver has its own, longer idea of patience.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = found.get(timeout=deadline.left())
    except (queue.Empty, TimeoutError):
        raise Fault("address", f"the name {address.host} was not resolved in time") from None
    if isinstance(answer, OSError):
        raise Fault(
            "address", f"the name {address.host} is not known ({answer.strerror or answer})"
        )
    return answer


def connect(places: list[Place], deadline: Deadline) -> socket.socket:
    """A connection to the first of ``places`` that answers.

    Raises:
        Fault: none does.
    """
    failed: OSError | None = None
    for number, (family, place) in enumerate(places):
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(deadline.left() / (len(places) - number))
            connected.connect(place)
        except OSError as error:
            connected.close()
            failed = error
        else:
            return connected
    assert failed is not None
    raise Fault("connect", told(failed, deadline)) from None


def context_of(address: Address, ca_file: str | None) -> ssl.SSLContext:
    """How certificates are checked.

    Raises:
        Fault: there are no certificates in ``ca_file``.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = "it has no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise Fault("settings", f"LDAP_CA_FILE, {ca_file}, cannot be used: {reason}") from None
    if not address.strict:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def secure(
    connected: socket.socket, host: str, context: ssl.SSLContext, deadline: Deadline
) -> ssl.SSLSocket:
    """TLS on ``connected``, which is no longer to be used then.

    Raises:
        Fault: the server speaks no TLS, or its certificate is not to be trusted.
    """
    try:
        connected.settimeout(deadline.left())
        return context.wrap_socket(connected, server_hostname=host)
    except (OSError, ValueError) as error:
        raise Fault("TLS", told(error, deadline)) from None


def told(error: Exception, deadline: Deadline) -> str:
    """Why the server was of no use, in words."""
    if isinstance(error, TimeoutError):
        return f"the server did not answer within {deadline.seconds:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message.removesuffix('.')}"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return "the server closed the connection"
    if isinstance(error, ssl.SSLError):
        return f"the server speaks no TLS as it is understood here ({error.reason or error})"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
