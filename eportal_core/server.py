"""The processes of a portal: one for agents, one for the admin side, one that minds them."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from eportal_core.errors import PortalError
from eportal_core.portal import Portal
from eportal_core.web.address import configured_address
from eportal_core.web.protocol import BoundedProtocol
from eportal_core.web.proxies import TrustedProxies

log = logging.getLogger("eportal.server")

#: Seconds that connections have to end when the portal stops.
_GRACE = 10
_LOOPBACK = "127.0.0.1"
#: How far the admin side stands back when both want the processor; see nice(2).
_NICENESS = 10
#: Set for child processes: the descriptor that closes when the parent has gone.
_LIFELINE = "KCEPORTAL_LIFELINE"


class _Server(uvicorn.Server):
    """Says ``ready`` when it answers, and not before."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("%s", self._ready)


def run_one(portal: Portal, part: str) -> None:
    """Serve one part, ``agent`` or ``admin``, until a signal stops it.

    Raises:
        PortalError: the address cannot be used, or PORTAL_URL, PROXY, PUBLISH_SOURCE or
            API_AUTH_HEADER is none.
    """
    address, make = _parts(portal)[part]
    listener = _listen(*address)
    if lifeline := os.environ.get(_LIFELINE):
        threading.Thread(target=_end_with_parent, args=[int(lifeline)], daemon=True).start()
    # Each connection is a descriptor; the usual soft limit of 1,024 is no fleet's.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    trusted = portal.config["TRUSTED_PROXIES"]
    if part == "admin":
        # The agent side forwards to it.
        trusted = [*trusted, _LOOPBACK]
        os.nice(_NICENESS)
    config = uvicorn.Config(
        TrustedProxies(make(portal), trusted),
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        access_log=False,
        server_header=False,
        log_config=None,
        proxy_headers=False,
        interface="asgi3",
        timeout_graceful_shutdown=_GRACE,
        backlog=4096,
    )
    _Server(config, f"The {part} side listens on {address[0]} port {address[1]}").run([listener])
    log.info("The %s side stopped", part)


def run_both(portal: Portal) -> None:
    """Run both parts as child processes; when one ends, the other is stopped too.

    Raises:
        PortalError: an address cannot be used, PORTAL_URL, PROXY, PUBLISH_SOURCE or
            API_AUTH_HEADER is none, or a part ended by itself.
    """
    parts = _parts(portal)
    # Said here, it is said once, and nothing was started.
    for address, _ in parts.values():
        _listen(*address).close()
    reading, writing = os.pipe()
    environ = {**os.environ, _LIFELINE: str(reading)}
    children = {
        part: subprocess.Popen(
            [sys.executable, "-m", "eportal_core", "serve", "--only", part],
            env=environ,
            pass_fds=[reading],
        )
        for part in parts
    }
    os.close(reading)
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        for child in children.values():
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    pid, _ = os.wait()
    ended = next(part for part, child in children.items() if child.pid == pid)
    for child in children.values():
        if child.pid != pid:
            child.terminate()
            child.wait()
    os.close(writing)
    if not stopping.is_set():
        raise PortalError(f"The {ended} process ended by itself; the portal was stopped.")


def _parts(portal: Portal) -> dict[str, tuple[tuple[str, int], Callable[[Portal], ASGIApp]]]:
    from eportal_core.admin.access import configured_header
    from eportal_core.admin.app import admin_app
    from eportal_core.agent.app import agent_app
    from eportal_core.agent.source import configured_source
    from eportal_core.proxy import configured_proxy

    config = portal.config
    configured_proxy(config)
    # A wrong one would be noticed by hosts that were told a wrong address.
    configured_address(config)
    configured_source(config)
    configured_header(config)
    return {
        "agent": ((config["HOST"], config["PORT"]), agent_app),
        "admin": ((_LOOPBACK, config["ADMIN_PORT"]), admin_app),
    }


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortalError(
            f"The portal cannot listen on {host} port {port}: {error.strerror}."
        ) from error
    return listener


def _end_with_parent(lifeline: int) -> None:
    """The parent holds the other end of this pipe; when it dies, however, the read returns."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
