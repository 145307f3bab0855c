"""How long pages about servers take at 10,000 and 1,000,000 servers: ``python bench/ui/run.py``.

The admin application answers in this process, to a user with a session; what is measured is the
processor's time of one answer, from the request to its last byte, without the network: other work
of the machine does not count. What the clock said is told beside it. The databases are those
of ``bench/api/fill.py``, made when they are not there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import secrets
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

import fill
from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.auth import sessions
from eportal_core.config import Config
from eportal_core.errors import NotFound
from eportal_core.operations import users
from eportal_core.plugins import load
from eportal_core.portal import open_portal

#: Milliseconds, times as long as with the small fleet, and bytes.
LIMIT = 150.0
RATIO = 1.5
SIZE = 60 * 1024
#: Differences of less than so many milliseconds are the machine's, not the fleet's.
NOISE = 10.0

LIST = "/admin/servers"
_USER = "bench"
_SORTS = ("registered", "checkin", "updated", "hostname", "ip", "id", "key", "distro")
_FILTERS: dict[str, dict[str, str]] = {
    "active": {"active": "true"},
    "silent": {"active": "false"},
    "up to date": {"state": "uptodate"},
    "behind": {"state": "outofdate"},
    "not supported": {"state": "unsupported"},
    "silent for 30 days": {"checkin_age": "30"},
    "feed": {"feed": "main"},
    "product": {"product": "kernel"},
    "distribution": {"distro": "Debian"},
    "tag of half": {"tag": "env:prod"},
    "tag of few": {"tag": "rack7"},
    "tag, behind and active": {"tag": "rack7", "state": "outofdate", "active": "true"},
    "search, one": {"search": "web-0005123"},
    "search, many": {"search": "web"},
    "search in a tag": {"search": "rack1"},
    "host names like": {"hostname": "web-00000%"},
    "behind, by host name": {"state": "outofdate", "sort": "hostname"},
    "silent, by address": {"active": "false", "sort": "ip", "order": "desc"},
}


def pages(ask: TestClient) -> Iterator[tuple[str, str]]:
    """What it is, and its address."""
    yield "first page", LIST
    for sort in _SORTS:
        for order in ("asc", "desc"):
            yield f"by {sort}, {order}", f"{LIST}?{urlencode({'sort': sort, 'order': order})}"
    for name, asked in _FILTERS.items():
        yield name, f"{LIST}?{urlencode(asked)}"
    for name, asked in (("next", {}), ("next, behind", {"state": "outofdate"})):
        found = _link(ask, f"{LIST}?{urlencode(asked)}", "Next")
        yield name, found
        yield f"previous after {name}", _link(ask, found, "Previous")
    yield "last", _link(ask, LIST, "Last")
    yield "last, up to date", _link(ask, f"{LIST}?state=uptodate", "Last")
    yield "200 on a page", f"{LIST}?limit=200"
    page = ask.get(LIST).text
    yield "one server", page.partition('<td><a href="')[2].partition('"')[0]
    yield "tags", "/admin/tags"


@contextmanager
def asking(folder: Path) -> Iterator[TestClient]:
    """A browser at the portal on ``folder``, logged in as an administrator."""
    plugins = load()
    portal = open_portal(Config.of(folder, declared=plugins.settings()), plugins)
    with db.connection():
        try:
            user = users.get(_USER)
        except NotFound:
            user = users.add(portal, _USER, secrets.token_urlsafe(), readonly=False)
        token = sessions.begin(portal.config, user, "127.0.0.1", "bench")
    client = TestClient(admin_app(portal), base_url="http://127.0.0.1", follow_redirects=False)
    client.cookies.set("eportal_session", token)
    yield client
    db.close()


def measure(ask: TestClient, rounds: int) -> dict[str, tuple[float, float, int, int]]:
    """Of each page: the median, and the shortest time by the clock; bytes, and bytes packed."""
    found = {}
    for name, address in pages(ask):
        times: list[float] = []
        clocks: list[float] = []
        for _ in range(rounds + 1):
            began, clock = process_time(), perf_counter()
            answer = ask.get(address)
            times.append((process_time() - began) * 1000)
            clocks.append((perf_counter() - clock) * 1000)
        assert answer.status_code == 200, (address, answer.text)
        # The first one fills the caches.
        found[name] = (
            statistics.median(times[1:]),
            min(clocks[1:]),
            len(answer.content),
            len(gzip.compress(answer.content)),
        )
    return found


def _link(ask: TestClient, address: str, text: str) -> str:
    before, found, _ = ask.get(address).text.partition(f">{text}</a>")
    assert found, f"{address} has no {text}"
    return before.rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp/eportal-bench-ui"))
    parser.add_argument("--servers", default="10000,1000000", help="sizes, separated by commas")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for size in map(int, options.servers.split(",")):
        folder = options.dir / str(size)
        fill.fill(folder, size)
        with asking(folder) as ask:
            results[size] = measure(ask, options.rounds)
    small, large = min(results), max(results)
    failed = False
    print(f"{'page':28} {small:>10,} {large:>10,}  times      clock   bytes  packed")
    for name, (time, clock, size, packed) in results[large].items():
        before = results[small][name][0]
        missed = time > LIMIT or packed > SIZE or time > max(RATIO * before, before + NOISE)
        failed = failed or missed
        print(
            f"{name:28} {before:8.1f}ms {time:8.1f}ms {time / before:6.2f}"
            f" {clock:8.1f}ms {size:7,} {packed:7,}"
            f"{'  MISSED' if missed else ''}"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
