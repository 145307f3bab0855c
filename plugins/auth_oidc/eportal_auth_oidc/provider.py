"""The identity provider: its addresses and its keys, as it publishes them or as they are set.

Source: OpenID Connect Discovery 1.0; RFC 8414.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from eportal_core import InvalidValue, PortalError, UpstreamError, http

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests
    from joserfc.jwk import KeySet

    from eportal_auth_oidc.settings import Client
    from eportal_core import Portal

_WELL_KNOWN = "/.well-known/openid-configuration"
#: Seconds for which what the provider publishes is believed, ...
_KEPT = 3600
#: ... for which it is not asked again after it failed, ...
_PAUSE = 5
#: ... and after which an unknown key may be looked for: it changes them now and then.
_ROTATION = 10
#: Bytes that an answer may have, and seconds that it may take.
_ANSWER_MAX = 1 << 20
_ANSWER_SECONDS = 20
#: Signatures that only the provider can make. With a shared secret or none, others could too.
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)


@dataclass(frozen=True)
class Endpoints:
    """Where the provider does what; empty where it is not known.

    issuer: how the provider calls itself. keys: its JSON Web Key Set. algorithms: by which it may
    sign. says_issuer: it does so in the address that it sends a browser back to (RFC 9207).
    secret_in_form: where it wants the client's secret, and not as Basic authentication.
    """

    authorization: str
    token: str
    userinfo: str = ""
    logout: str = ""
    issuer: str = ""
    keys: str = ""
    algorithms: tuple[str, ...] = ()
    says_issuer: bool = False
    secret_in_form: bool = False


class Provider:
    """What is known of the provider; threads share it."""

    def __init__(self, portal: Portal, client: Client) -> None:
        self._config = portal.config
        self._client = client
        self._endpoints = _Kept(self._discover)
        self._keys = _Kept(self._fetch_keys)

    def endpoints(self) -> Endpoints:
        """Raises: UpstreamError: the provider does not tell them."""
        found: Endpoints = self._endpoints.value(_KEPT)
        return found

    def keys(self, fresh: bool = False) -> KeySet:
        """Its public keys; with ``fresh``, not those that were fetched long ago.

        Raises:
            UpstreamError: the provider does not tell them.
        """
        found: KeySet = self._keys.value(_ROTATION if fresh else _KEPT)
        return found

    def _discover(self) -> Endpoints:
        client = self._client
        if client.discovery is None:
            assert client.auth_url is not None
            assert client.token_url is not None
            assert client.userinfo_url is not None
            return Endpoints(
                client.auth_url, client.token_url, client.userinfo_url, client.logout_url or ""
            )
        issuer = client.discovery.removesuffix(_WELL_KNOWN).rstrip("/")
        url = f"{issuer}{_WELL_KNOWN}"
        session = http.new_session(self._config, tries=2)
        told = read_json(session, url)
        # Source: OpenID Connect Discovery 1.0, 4.3.
        if str(told.get("issuer", "")).rstrip("/") != issuer:
            raise UpstreamError(f"{http.shown(url)} is of another issuer.")
        methods = _list(told, "token_endpoint_auth_methods_supported", ["client_secret_basic"], url)
        offered = _list(told, "id_token_signing_alg_values_supported", ["RS256"], url)
        return Endpoints(
            authorization=client.auth_url or _address(told, "authorization_endpoint", url),
            token=client.token_url or _address(told, "token_endpoint", url),
            userinfo=client.userinfo_url or _address(told, "userinfo_endpoint", url, True),
            logout=client.logout_url or _address(told, "end_session_endpoint", url, True),
            issuer=told["issuer"],
            keys=_address(told, "jwks_uri", url),
            algorithms=tuple(name for name in _ALGORITHMS if name in offered),
            says_issuer=told.get("authorization_response_iss_parameter_supported") is True,
            secret_in_form="client_secret_basic" not in methods,
        )

    def _fetch_keys(self) -> KeySet:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        url = self.endpoints().keys
        told = read_json(http.new_session(self._config, tries=2), url)
        keys = told.get("keys")
        if not isinstance(keys, list):
            raise UpstreamError(f"{http.shown(url)} is no set of keys.")
        usable = []
        for key in keys:
            try:
                usable += KeySet.import_key_set({"keys": [key]}).keys
            # Of a kind that we do not know, and need not.
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                continue
        return KeySet(usable)


class _Kept:
    """A value that is made again when it is old; one thread makes it, the others wait for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: PortalError | None = None
        self._made = -float("inf")

    def value(self, age: float) -> Any:
        """It, at most ``age`` seconds old."""
        with self._lock:
            if self._error is not None:
                age = _PAUSE
            if time.monotonic() - self._made > age:
                self._renew()
            if self._error is not None:
                raise self._error
            return self._value

    def _renew(self) -> None:
        try:
            self._value, self._error = self._make(), None
        except PortalError as error:
            self._error = error
        self._made = time.monotonic()


def read_json(
    session: requests.Session, url: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object at ``url``.

    Raises:
        UpstreamError: there is none.
    """
    with http.get(session, url, headers) as response:
        http.check_status(response, url)
        return json_of(response, url)


def json_of(response: requests.Response, url: str) -> dict[str, Any]:
    """The JSON object that is the body of an answer.

    Raises:
        UpstreamError: it is none, too long or too slow.
    """
    try:
        found = json.loads(http.body(response, url, _ANSWER_MAX, _ANSWER_SECONDS))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UpstreamError(f"{http.shown(url)} is no JSON object.")
    return found


def check_address(address: object, what: str) -> str:
    """``address``, if it is an http address; it may have a query.

    Raises:
        InvalidValue: it is none.
    """
    try:
        parts = urlsplit(address) if isinstance(address, str) else None
        good = parts and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not isinstance(address, str):
        raise InvalidValue(f"{what} must be an address such as https://login.example.com/token.")
    return address


def _list(told: dict[str, Any], name: str, default: list[str], url: str) -> list[Any]:
    """Raises: UpstreamError: it is something else."""
    found = told.get(name, default)
    if not isinstance(found, list):
        raise UpstreamError(f"{http.shown(url)}: {name} is no list.")
    return found


def _address(told: dict[str, Any], name: str, url: str, optional: bool = False) -> str:
    """Raises: UpstreamError: there is none, or it is less safe than the one that names it."""
    if optional and told.get(name) is None:
        return ""
    try:
        address = check_address(told.get(name), name)
    except InvalidValue as error:
        raise UpstreamError(f"{http.shown(url)}: {error}") from error
    if url.startswith("https:") and not address.startswith("https:"):
        raise UpstreamError(f"{http.shown(url)}: {name} is no https address.")
    return address
