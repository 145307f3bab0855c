"""``/admin/sso/…``: to the provider, back from it, and to its logout."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from eportal_auth_oidc import CALLBACK, LOGIN, LOGOUT, transaction
from eportal_auth_oidc.identity import authorization_address, identify
from eportal_auth_oidc.provider import Provider, check_address
from eportal_core import InvalidValue, PortalError, lead_away, public_address, sign_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from eportal_auth_oidc.settings import Client
    from eportal_core import Identity, Portal

#: The ID token, for the provider to know at the logout who logs out.
_TOKEN = "eportal_sso_token"
#: Bytes; browsers keep no longer cookie.
_TOKEN_MAX = 3800
#: Where the provider sends a browser whose user has logged out there.
_AFTER_LOGOUT = "/admin"


def routes(portal: Portal, client: Client) -> Sequence[BaseRoute]:
    """Raises: InvalidValue: a setting is no address."""
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    for name, address in client.addresses().items():
        check_address(address, name)
    provider = Provider(portal, client)

    def redirect(request: Request) -> str:
        return f"{public_address(request, portal)}{CALLBACK}"

    def start(request: Request) -> Response:
        begun = transaction.begin(request.query_params.get("next", ""))
        try:
            endpoints = provider.endpoints()
            address = authorization_address(client, endpoints, begun, redirect(request))
        except PortalError as error:
            return _failed(portal, request, error)
        response = RedirectResponse(address, 303)
        _set_cookie(response, request, transaction.COOKIE, begun.sealed(), LOGIN)
        return response

    def come_back(request: Request) -> Response:
        answer = dict(request.query_params)
        cookie = request.cookies.get(transaction.COOKIE, "")
        begun = transaction.resume(cookie, answer.get("state", ""))
        proof = ""

        def who() -> Identity:
            nonlocal proof
            if begun is None:
                # Nobody was tried; any site may make a browser call this.
                raise InvalidValue(
                    "This login was not begun in this browser, or too long ago: begin again."
                )
            identity, proof = identify(portal, client, provider, begun, redirect(request), answer)
            return identity

        response = sign_in(portal, request, who, begun.onward if begun else "")
        response.delete_cookie(transaction.COOKIE, LOGIN)
        if response.status_code == 303 and 0 < len(proof) <= _TOKEN_MAX:
            _set_cookie(response, request, _TOKEN, proof, LOGOUT, None)
        return response

    def leave(request: Request) -> Response:
        try:
            address = provider.endpoints().logout
            home = f"{public_address(request, portal)}{_AFTER_LOGOUT}"
        except PortalError:
            address = home = ""
        response: Response = RedirectResponse("/admin/login", 303)
        if address:
            hint = request.cookies.get(_TOKEN, "")
            response = lead_away(request, _logout_address(address, client, home, hint))
        response.delete_cookie(_TOKEN, LOGOUT)
        return response

    return [Route(LOGIN, start), Route(CALLBACK, come_back), Route(LOGOUT, leave)]


def _failed(portal: Portal, request: Request, error: PortalError) -> Response:
    def nobody() -> Identity:
        raise error

    return sign_in(portal, request, nobody)


def _set_cookie(
    response: Response,
    request: Request,
    name: str,
    value: str,
    path: str,
    seconds: int | None = transaction.LIFETIME,
) -> None:
    # Strict ones would not come with what the provider's page leads to.
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def _logout_address(address: str, client: Client, home: str, hint: str) -> str:
    """Source: OpenID Connect RP-Initiated Logout 1.0, 2. What the setting has itself counts."""
    parts = urlsplit(address)
    more = {"client_id": client.id, "post_logout_redirect_uri": home}
    if hint:
        more["id_token_hint"] = hint
    given = parse_qs(parts.query)
    added = urlencode({name: value for name, value in more.items() if name not in given})
    query = "&".join(part for part in (parts.query, added) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
