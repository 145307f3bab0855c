"""Requests that the portal sends: every session is made here, and no answer is believed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.util import Retry

from eportal_core import proxy
from eportal_core.errors import InvalidValue, UpstreamError, WrongBytes

if TYPE_CHECKING:
    from types import TracebackType

    from urllib3.connectionpool import ConnectionPool

    from eportal_core.config import Config

#: Seconds to connect, and seconds that may pass between two pieces of an answer.
TIMEOUT = (10, 60)
#: Answers that a second try may change. Source: RFC 9110, 15.5 and 15.6; RFC 6585, 4.
_WORTH_ANOTHER_TRY = frozenset({429, 500, 502, 503, 504})
#: A server may ask for a pause, but not for one longer than this, seconds.
LONGEST_WAIT = 60
#: An answer is given up when fewer bytes a second come over so many seconds.
SLOWEST = 1024
PATIENCE = 60
_PIECE = 1 << 18
_CREDENTIALS = re.compile(r"//[^/\s]*@")
#: What is unpacked here, should it come packed all the same.
_PACKED = ("gzip", "x-gzip", "deflate")


class _ProxyFault(requests.RequestException):
    """Why there is no answer, in words: the proxy."""


class _Retry(Retry):
    """Waits as long as the server asks, within reason."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        wait = super().get_retry_after(response)
        return None if wait is None else min(wait, LONGEST_WAIT)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if error is not None and proxy.wants_credentials(error):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class _Adapter(HTTPAdapter):
    """Waits no longer than ``TIMEOUT``, unless the request says otherwise."""

    def send(self, request: Any, *_: Any, **options: Any) -> requests.Response:
        through = select_proxy(request.url, options["proxies"])
        if options["timeout"] is None:
            options["timeout"] = TIMEOUT
        try:
            response = super().send(request, **options)
        except (ValueError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if through and (told := proxy.fault(error, through)):
                raise _ProxyFault(told) from error
            raise
        if through and response.status_code == 407:
            response.close()
            raise _ProxyFault(proxy.credentials_refused(through))
        if through and response.status_code >= 400:
            # Whose answer it is cannot be seen.
            response.reason += f", through the proxy {proxy.without_password(through)}"
        return response

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """requests does not check the certificate of a proxy to which it sends a plain address."""
        check: Callable[..., None] = super().cert_verify
        check(conn, f"{conn.scheme}:", verify, cert)


class _Session(requests.Session):
    """Looks for the proxy of each address anew, that of a redirect too.

    requests would ask the environment first, and on a redirect keep to the proxy of the first
    address and send its password to the host that was redirected to.
    """

    def __init__(self, through: str | None) -> None:
        super().__init__()
        self._through = through

    def merge_environment_settings(self, url: Any, *arguments: Any, **more: Any) -> Any:
        merged = super().merge_environment_settings(url, *arguments, **more)
        return {**merged, "proxies": proxy.proxies_for(url, self._through)}

    def rebuild_proxies(self, prepared_request: Any, proxies: Any) -> Any:
        return proxy.proxies_for(prepared_request.url, self._through)


def new_session(
    config: Config, user: str | None = None, password: str | None = None, *, tries: int = 4
) -> requests.Session:
    """A session for one upstream; with a user or password, it identifies itself by them (Basic).

    It is for one thread, and leaves by the proxy that ``config`` (a portal's) names with PROXY,
    else the environment. tries: after a refused connection or an overloaded server, with growing
    pauses between them.

    Raises:
        InvalidValue: PROXY is no address of a proxy.
    """
    session = _Session(proxy.configured_proxy(config))
    retry = _Retry(
        total=tries - 1,
        backoff_factor=0.5,
        status_forcelist=_WORTH_ANOTHER_TRY,
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(max_retries=retry))
    session.headers["User-Agent"] = "ePortal"
    # Bytes as they are stored there: what is hashed and resumed may not be packed on the way.
    session.headers["Accept-Encoding"] = "identity"
    if user is not None or password is not None:
        # Source: RFC 7617, 2.1: in UTF-8. requests takes texts for Latin-1.
        session.auth = (_octets(user or ""), _octets(password or ""))
    return session


@contextmanager
def get(
    session: requests.Session, url: str, headers: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """The answer to a GET, its body not read yet; one with an error status is an answer too.

    Raises:
        UpstreamError: there is no answer, or, inside the block, the rest of it does not come.
    """
    with _exchange(session, "GET", url, headers=headers) as response:
        yield response


@contextmanager
def post(
    session: requests.Session, url: str, form: Mapping[str, str]
) -> Iterator[requests.Response]:
    """The answer to a form, its body not read yet; it is sent to no other address than ``url``.

    Raises:
        UpstreamError: there is no answer, or, inside the block, the rest of it does not come.
    """
    with _exchange(session, "POST", url, data=dict(form), allow_redirects=False) as response:
        yield response


def read(session: requests.Session, url: str, limit: int) -> bytes:
    """The whole body of a small file, at most ``limit`` bytes.

    Raises:
        UpstreamError: no answer, an error status, or it comes too slowly; ``WrongBytes``: a longer
            body.
    """
    with get(session, url) as response:
        check_status(response, url)
        return body(response, url, limit)


def body(response: requests.Response, url: str, limit: int, seconds: float | None = None) -> bytes:
    """The whole body of an answer, at most ``limit`` bytes, which comes within ``seconds``.

    Raises:
        WrongBytes: it is longer.
        UpstreamError: it takes longer, or stops.
    """
    check_packing(response, url)
    started = time.monotonic()
    found = bytearray()
    for piece in pieces(response, url):
        found += piece
        if len(found) > limit:
            raise WrongBytes(f"{shown(url)} is longer than {limit} bytes.")
        if seconds is not None and time.monotonic() - started > seconds:
            raise UpstreamError(f"{shown(url)} takes longer than {seconds:g} seconds.")
    return bytes(found)


def check_status(response: requests.Response, url: str) -> None:
    """Refuse an answer that is not the whole file.

    Raises:
        UpstreamError: its status is not 200.
    """
    if response.status_code != 200:
        raise UpstreamError(
            f"{shown(url)} answered {response.status_code} {_printable(response.reason or '')}.",
            answered=response.status_code,
        )


def check_address(url: str, setting: str) -> str:
    """``url`` without slashes at its end, if it can be that of an upstream; ``setting`` names it.

    Raises:
        InvalidValue: it is no plain http address, or holds a user name.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url or parts.query or parts.fragment:
        raise InvalidValue(
            f"{setting} must be an address such as https://repo.example.com, without ? and #."
        )
    if parts.username is not None:
        raise InvalidValue(f"{setting} holds a user name, which has a setting of its own.")
    return url.rstrip("/")


def shown(url: str) -> str:
    """An address without the password that may stand in it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


@contextmanager
def _exchange(
    session: requests.Session, method: str, url: str, **options: Any
) -> Iterator[requests.Response]:
    try:
        with _answer(session, method, url, options) as response:
            yield response
    except requests.RequestException as error:
        reason = _reason(error).replace(url, shown(url))
        raise UpstreamError(f"{shown(url)} cannot be had: {reason}.") from error


def _answer(
    session: requests.Session, method: str, url: str, options: dict[str, Any]
) -> requests.Response:
    try:
        return session.request(method, url, stream=True, **options)
    # The libraries read addresses and dates of an answer without expecting that they are none.
    except (ValueError, urllib3.exceptions.HTTPError) as error:
        raise requests.RequestException(error) from error


def pieces(response: requests.Response, url: str) -> Iterator[bytes]:
    """The body as the network brings it, in pieces however small: so that time can be kept.

    Raises:
        UpstreamError: over ``PATIENCE`` seconds of waiting, less than ``SLOWEST`` a second came.
    """
    came, waited = 0, 0.0
    while True:
        asked = time.monotonic()
        try:
            piece = response.raw.read1(_PIECE, decode_content=True)
        # What the library raises here is not what it says.
        except (ValueError, urllib3.exceptions.HTTPError) as error:
            raise requests.RequestException(error) from error
        if not piece:
            return
        came += len(piece)
        waited += time.monotonic() - asked
        if waited > PATIENCE:
            if came < waited * SLOWEST:
                raise UpstreamError(f"{shown(url)} comes too slowly.")
            came, waited = 0, 0.0
        yield piece


def packing(response: requests.Response) -> str:
    """How the body is packed on its way; empty when it is not, as it was asked for."""
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    return "" if packing == "identity" else packing


def check_packing(response: requests.Response, url: str) -> None:
    """Refuse what would be kept packed."""
    found = packing(response)
    if found and found not in _PACKED:
        raise UpstreamError(f"{shown(url)} comes packed with {found!r}, unlike it was asked for.")


def _octets(text: str) -> str:
    """The bytes of ``text`` in UTF-8, one character for each."""
    return text.encode().decode("latin-1")


def _reason(error: Exception) -> str:
    """The innermost cause, in one line; the wrapping says nothing to a person."""
    if isinstance(error, _ProxyFault):
        return str(error)
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    said = " ".join(str(getattr(cause, "strerror", None) or cause).split())
    # It may quote where a redirect led, with the password that stands there.
    return _printable(_CREDENTIALS.sub("//", said)).rstrip(".")


def _printable(text: str) -> str:
    """What a server said, without what would steer the terminal of who reads it."""
    return "".join(filter(str.isprintable, text))
