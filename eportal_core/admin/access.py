"""Who calls the admin side: by a session's cookie, by name and password, or by an API key."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from binascii import a2b_base64
from concurrent.futures import Future
from datetime import datetime
from urllib.parse import urlsplit

from starlette.requests import Request

from eportal_core import db
from eportal_core.admin.cookies import session_cookie
from eportal_core.auth import api_keys, backends, sessions, throttle
from eportal_core.config import Config
from eportal_core.errors import AccessDenied, ConfigError, Forbidden
from eportal_core.models import LOCAL, Actor, User, acting
from eportal_core.operations import users
from eportal_core.portal import Portal
from eportal_core.types import Caller

log = logging.getLogger("eportal.auth")

#: Methods that change nothing. Source: RFC 9110, 9.2.1.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: What a header may be called. Source: RFC 9110, 5.6.2.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Headers that say something else, and come with every request of a browser or a program.
_NOT_FOR_KEYS = frozenset({"authorization", "cookie", "host", "accept", "user-agent", "origin"})
#: Seconds for which a password that was right need not be hashed again.
_REMEMBERED = 60
_REMEMBERED_MAX = 1000


def configured_header(config: Config) -> str:
    """``API_AUTH_HEADER``.

    Raises:
        ConfigError: no header is called so, or it says something else: all others would be locked
            out.
    """
    name: str = config["API_AUTH_HEADER"]
    if not _HEADER.fullmatch(name) or name.lower() in _NOT_FOR_KEYS:
        raise ConfigError(
            f"API_AUTH_HEADER is {name!r}: a header of its own is meant, such as X-Api-Key."
        )
    return name


def caller_of(portal: Portal, request: Request) -> Caller | None:
    """Who calls; None for nobody who says who he is. Call it in a thread: it may wait.

    Raises:
        AccessDenied: there are credentials, and they are wrong.
        TooOften: wrong ones came too often.
        Forbidden: a page of another site makes a browser send this.
    """
    token = request.headers.get(portal.config["API_AUTH_HEADER"])
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    cookie = session_cookie(request)
    with db.connection():
        if token:
            return _by_key(token, address_of(request))
        if scheme.lower() == "basic":
            return _by_basic(portal, request, credentials)
        return _by_session(portal, request, cookie) if cookie else None


def require_user(portal: Portal, request: Request) -> Caller:
    """Who calls, when that is a user, be it by an API key for all products and feeds.

    Raises:
        AccessDenied, TooOften, Forbidden: as from ``caller_of``, or nobody says who he is.
        Forbidden: it is an API key for some products or feeds.
    """
    caller = caller_of(portal, request)
    if caller is None:
        raise AccessDenied("This page is for users who have logged in.")
    if caller.is_limited:
        raise Forbidden("An API key for some products or feeds may not do this.")
    return caller


def user_by_password(portal: Portal, username: str, password: str, address: str) -> User:
    """The user of this name and password; how often they may be wrong is bounded.

    Raises:
        AccessDenied: they are wrong.
        TooOften: they were, too often.
        PluginError: a backend failed.
    """
    actor = Actor(username, address, "password")
    try:
        with throttle.attempt(username, address), acting(actor):
            return backends.authenticate(portal, username, password)
    except AccessDenied:
        # The name may be a password that was typed in its place.
        log.warning("A login failed, from %s", address)
        raise


def address_of(request: Request) -> str:
    """Whence a request came, as far as proxies that are trusted tell."""
    return request.client.host if request.client else ""


def check_same_site(request: Request) -> None:
    """Refuse what a page of another site makes a browser send with what it keeps of this one.

    Browsers say where a request comes from; what says nothing is no browser, and keeps nothing that
    somebody else could make use of. The scheme does not count: a proxy that speaks https may not
    tell of it. Source: Fetch metadata, https://www.w3.org/TR/fetch-metadata/; RFC 6454, 7.

    Raises:
        Forbidden: it comes from another site.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        same = site in ("same-origin", "none")
    else:
        same = origin is None or _host(origin) == request.headers.get("host", "").lower()
    if not same:
        raise Forbidden("This request comes from a page of another site.")


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _by_key(token: str, address: str) -> Caller:
    caller = api_keys.find(token)
    if caller is None:
        throttle.guessed(address)
        raise AccessDenied("This API key is not known, or its time is over.")
    return caller


def _by_session(portal: Portal, request: Request, cookie: str) -> Caller | None:
    session = sessions.find(portal.config, cookie)
    if session is None:
        return None
    if request.method not in SAFE:
        check_same_site(request)
    return _caller(session.user, "session")


def _by_password(portal: Portal, username: str, password: str, address: str) -> User:
    """As ``user_by_password``, for programs, which send the same with each request."""
    mark = _mark(username, password)
    if (known := _remembered(mark, username)) is not None:
        return known
    # Many at once with one password are one try.
    with _lock:
        flight = _flights.get((mark, address))
        if mine := flight is None:
            flight = _flights[mark, address] = Future()
    if not mine:
        return flight.result()
    try:
        user = user_by_password(portal, username, password, address)
        _remember(mark, user)
        flight.set_result(user)
    except BaseException as error:
        flight.set_exception(error)
        raise
    finally:
        del _flights[mark, address]
    return user


def _by_basic(portal: Portal, request: Request, credentials: str) -> Caller:
    try:
        username, _, password = a2b_base64(credentials, strict_mode=True).decode().partition(":")
    # Not in the alphabet, not even ASCII, or no text.
    except ValueError:
        raise AccessDenied("The credentials cannot be read.") from None
    if request.method not in SAFE:
        # A browser that was asked for a password sends it along from any page.
        check_same_site(request)
    return _caller(_by_password(portal, username, password, address_of(request)), "password")


def _caller(user: User, means: str) -> Caller:
    return Caller(user.username, user.backend, user.readonly, means)


#: What a user was when the password was right: another one of the same name is not meant.
_Known = tuple[str, str, datetime]
#: Passwords that were right a moment ago, by a digest that means nothing outside this process.
_secret = secrets.token_bytes(32)
_right: dict[bytes, tuple[float, _Known]] = {}
_lock = threading.Lock()
#: Tries that are being made: passwords, and whence they come.
_flights: dict[tuple[bytes, str], Future[User]] = {}


def _remembered(mark: bytes, username: str) -> User | None:
    until, known = _right.get(mark, (0.0, None))
    if time.monotonic() >= until:
        return None
    user = users.find(username)
    return user if user is not None and _known(user) == known else None


def _remember(mark: bytes, user: User) -> None:
    # What another backend thinks of a user now is for it alone to say.
    if user.backend != LOCAL:
        return
    with _lock:
        while len(_right) >= _REMEMBERED_MAX:
            del _right[next(iter(_right))]
        _right[mark] = (time.monotonic() + _REMEMBERED, _known(user))


def _known(user: User) -> _Known:
    return user.backend, user.password, user.created


def _mark(username: str, password: str) -> bytes:
    told = f"{username}:{password}".encode("utf-8", "surrogatepass")
    return hmac.digest(_secret, told, hashlib.sha256)
