"""``/install-kernelcare`` and its like: shell scripts for ``curl -s … | bash``.

They are ``scripts/*.sh``; what differs from portal to portal stands in variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from shlex import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from eportal_core import InvalidValue, Portal, public_address

_FOLDER = Path(__file__).parent / "scripts"
_NAMES = ("install-kernelcare", "set-kernelcare-repo", "set-patch-server")
#: The variables of the scripts that are settings.
_SETTINGS = {
    "RPM_PATH": "AGENT_REPO_RPM_PATH",
    "RPM_KEY": "AGENT_REPO_RPM_KEY",
    "DEB": "AGENT_REPO_DEB",
    "DEB_KEY": "AGENT_REPO_DEB_KEY",
}
_INCLUDE = re.compile(r"^# include (\S+)$", re.M)
_VARIABLE = re.compile(r"^([A-Z_]+)=@\1@$", re.M)


def script_routes(portal: Portal) -> Sequence[BaseRoute]:
    """The scripts; anybody may ask: a host needs them before it can register.

    Raises:
        InvalidValue: a setting that stands in them is not one line.
    """
    values = {name: _one_line(portal, setting) for name, setting in _SETTINGS.items()}

    def route(name: str) -> Route:
        def script(request: Request) -> Response:
            try:
                address = public_address(request, portal)
            except InvalidValue as error:
                # Whoever pipes the answer into a shell shall see the sentence, too.
                return _text(f"echo {quote(f'ePortal: {error}')} >&2\nexit 1\n", error.status)
            return _text(render(name, {"PORTAL": address, **values}))

        return Route(f"/{name}", script)

    return [route(name) for name in _NAMES]


def render(name: str, values: Mapping[str, str]) -> str:
    """The script of this name with ``values`` for its variables, quoted for the shell."""
    return _VARIABLE.sub(lambda found: f"{found[1]}={quote(values[found[1]])}", _template(name))


@cache
def _template(name: str) -> str:
    """The script with what it includes."""
    text = (_FOLDER / f"{name}.sh").read_text()
    return _INCLUDE.sub(lambda found: (_FOLDER / found[1]).read_text().strip(), text)


def _one_line(portal: Portal, setting: str) -> str:
    value: str = portal.config[setting]
    if not value.isprintable():
        raise InvalidValue(f"{setting} must be one line of characters that can be shown.")
    return value


def _text(script: str, status: int = 200) -> Response:
    # What it says depends on who asks, and by which name.
    return PlainTextResponse(script, status, {"Cache-Control": "no-store"})
