"""How often somebody may be wrong: logins that fail are counted, by name and by address, in rows.

A try is counted before it is made, and what it counted is taken back when it was right: many at
once are no way around the bounds, nor is a restart.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

import peewee

from eportal_core import db
from eportal_core.counting import counted
from eportal_core.errors import AccessDenied, TooOften
from eportal_core.models import LoginFailure, now

#: For so long a failure counts.
WINDOW = timedelta(minutes=5)
#: Failures in it, after which the next try is refused: of one name from one address, ...
OF_BOTH = 5
#: ... from one address, which may be that of a whole office, ...
OF_ADDRESS = 50
#: ... and of one name, from wherever; addresses from which it was right lately are excepted.
OF_NAME = 100
#: Tries at the same time: each takes one of the process's threads, and may wait for a directory.
AT_ONCE = 16
#: Rows at most; the oldest give way.
ROWS_MAX = 20_000
_FAMILIAR_MAX = 10_000
#: In the place of a name: tokens that nobody has. A program whose API key is over goes on trying;
#: it may not keep the people beside it from logging in.
_TOKEN = "token"
#: Bits of an IPv6 address that one customer has to choose from. Source: RFC 6177.
_SITE_BITS = 64

#: Which failures, and how many of them there may be.
_Bound = tuple[peewee.Expression, int]

_places = threading.BoundedSemaphore(AT_ONCE)
#: Names and addresses that belong together, for as long as this process lives.
_familiar: dict[tuple[str, str], None] = {}


@contextmanager
def attempt(username: str | None, address: str) -> Iterator[None]:
    """One try to log in, which the block makes; it failed if the block raises AccessDenied.

    username: None when it is not known before the try is over. address: whence it comes.

    Raises:
        TooOften: it may not be made now.
    """
    if not _places.acquire(blocking=False):
        raise TooOften("Too many log in at this moment: try again in a few seconds.", 2)
    try:
        name, place = _name(username), _place(address)
        mine = _admit(name, place, _bounds(name, place))
        try:
            yield
        except AccessDenied:
            raise
        except BaseException:
            # It was not made to its end, and says nothing of who made it.
            _take_back(LoginFailure.id == mine)
            raise
        if name:
            _take_back((LoginFailure.username == name) & (LoginFailure.address == place))
            _remember(name, place)
        else:
            _take_back(LoginFailure.id == mine)
    finally:
        _places.release()


def guessed(address: str) -> None:
    """Count a token that nobody has.

    Raises:
        TooOften: that happens too often from this address.
    """
    place = _place(address)
    which = (LoginFailure.username == _TOKEN) & (LoginFailure.address == place)
    _admit(_TOKEN, place, [(which, OF_ADDRESS)])


def _bounds(name: str, place: str) -> list[_Bound]:
    of_name = LoginFailure.username == name
    of_place = LoginFailure.address == place
    bounds = [(of_place & (LoginFailure.username != _TOKEN), OF_ADDRESS)]
    if name:
        bounds.append((of_name & of_place, OF_BOTH))
        if (name, place) not in _familiar:
            bounds.append((of_name, OF_NAME))
    return bounds


def _admit(name: str, place: str, bounds: list[_Bound]) -> int:
    """Count a try; returns its row.

    Raises:
        TooOften: it is one too many.
    """
    # A flood is refused without a write.
    _check(bounds, now())
    with db.database.atomic():
        moment = now()
        _check(bounds, moment)
        _sweep(moment)
        row = LoginFailure.create(username=name, address=place, time=moment)
    number: int = row.id
    return number


def _check(bounds: list[_Bound], moment: datetime) -> None:
    """Raises: TooOften: one of them is reached."""
    if wait := max(_wait(which, most, moment) for which, most in bounds):
        raise TooOften(f"Too many logins failed: try again in {_told(wait)}.", wait)


def _wait(which: peewee.Expression, most: int, moment: datetime) -> int:
    """Seconds until fewer than ``most`` count; 0 when that is so now."""
    # The clock may have been set since: what it said of another hour says nothing now.
    since, until = moment - WINDOW, moment + WINDOW
    counts = which & (LoginFailure.time > since) & (LoginFailure.time <= until)
    newest_first = (
        LoginFailure.select(LoginFailure.time)
        .where(counts)
        .order_by(LoginFailure.time.desc())
        .offset(most - 1)
        .limit(1)
    )
    last = newest_first.first()
    return 0 if last is None else int((last.time + WINDOW - moment).total_seconds()) + 1


def _sweep(moment: datetime) -> None:
    """The caller holds the transaction."""
    LoginFailure.delete().where(
        (LoginFailure.time <= moment - WINDOW) | (LoginFailure.time > moment + WINDOW)
    ).execute()
    last = LoginFailure.select(LoginFailure.id).order_by(LoginFailure.id.desc())
    for row in last.offset(ROWS_MAX - 1).limit(1):
        LoginFailure.delete().where(LoginFailure.id <= row.id).execute()


def _take_back(which: peewee.Expression) -> None:
    with db.database.atomic():
        LoginFailure.delete().where(which).execute()


def _remember(name: str, place: str) -> None:
    if (name, place) not in _familiar:
        for oldest in list(_familiar)[: max(0, len(_familiar) - _FAMILIAR_MAX + 1)]:
            _familiar.pop(oldest, None)
    _familiar[name, place] = None


def _name(username: str | None) -> str:
    """What is kept of a name: a digest, for people type their password in its place.

    Directories take ``Anna`` for ``anna``, so that these count together.
    """
    if username is None:
        return ""
    return hashlib.sha256(username.casefold().encode("utf-8", "surrogatepass")).hexdigest()


def _place(address: str) -> str:
    """The address, or the network of all that one customer may choose from."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(IPv6Address(int(found) >> _SITE_BITS << _SITE_BITS))
    return str(found)


def _told(seconds: int) -> str:
    return counted(seconds, "second") if seconds < 120 else f"{-(-seconds // 60)} minutes"
