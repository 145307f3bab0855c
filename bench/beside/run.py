"""What the admin side costs the agents: ``python bench/beside/run.py``, see README.md.

Check-ins come at a fixed rate, alone and beside other work, in turns; their latency is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# The portal and the API key are made as the tests make them; the fleet as other benches do.
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "api"))
sys.path.insert(0, str(Path(__file__).parents[1] / "checkin"))

import data
import paced
import requests
from fill import fill

from eportal_core import db
from eportal_core.auth import sessions
from eportal_core.models import User
from eportal_core.operations import users
from tests.support.fleets import new_key
from tests.support.opening import opened
from tests.support.serving import serving

BROWSERS = 10
#: Seconds for which a person looks at a page before the next one.
THINKING = 1.0
#: Goals of the project: p99 while browsers page, and the median while the API is asked.
MOST_P99, MOST_SLOWER = 1.2, 1.1
#: A turn at which the machine stood still is repeated: nothing of ours is before the generator of
#: check-ins, so when that was late, seconds, it was for the machine's own reasons.
MOST_LAG = 0.002
TRIES = 2
_USER = "bench"
_LIST = "/admin/servers"

Client = Callable[[requests.Session, str], None]


@dataclass(frozen=True)
class Work:
    """What goes on beside the check-ins: so many clients, each at it again when it is answered."""

    name: str
    clients: int
    ask: Client


def _get(path: str) -> Client:
    def ask(session: requests.Session, url: str) -> None:
        session.get(f"{url}{path}", timeout=120).raise_for_status()

    return ask


def _page(session: requests.Session, url: str) -> None:
    """The list of servers and the pages after it, as somebody goes from page to page."""
    address = _LIST
    for _ in range(5):
        time.sleep(THINKING)
        answer = session.get(f"{url}{address}", timeout=120)
        answer.raise_for_status()
        before, found, _ = answer.text.partition(">Next</a>")
        if not found:
            return
        address = before.rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")


def _tag(session: requests.Session, url: str) -> None:
    """Tags of a thousand servers, on and off."""
    ids = [data.server_id(number) for number in range(1000)]
    for change in ("add", "remove"):
        body = {"id": ids, change: "bench"}
        session.post(f"{url}/admin/api/servers/tags", json=body, timeout=120).raise_for_status()


_API = "/admin/api"
BROWSING = Work("ten browsers page", BROWSERS, _page)
WORKS = (
    BROWSING,
    Work("GET servers", 1, _get(f"{_API}/servers")),
    Work("GET servers, a slow count", 1, _get(f"{_API}/servers?feed=main&active=true")),
    Work("GET servers, deep offset", 1, _get(f"{_API}/servers?offset=500000")),
    Work("GET servers, 10,000 a page", 1, _get(f"{_API}/servers?limit=10000")),
    Work("GET one server", 1, _get(f"{_API}/servers/{data.server_id(1)}")),
    Work("POST tags of 1,000 servers", 1, _tag),
    Work("GET patchsets", 1, _get(f"{_API}/patchsets")),
    Work("GET keys", 1, _get(f"{_API}/keys")),
    Work("GET feeds", 1, _get(f"{_API}/feeds")),
    Work("GET log", 1, _get(f"{_API}/log")),
    Work("GET status", 1, _get(f"{_API}/status")),
    Work("GET storage", 1, _get(f"{_API}/storage")),
    Work("GET nagios of a key", 1, _get(f"{_API}/kcare/nagios/{data.key_id(1)}")),
    Work("GET openapi.json", 1, _get(f"{_API}/openapi.json")),
    Work("GET metrics", 1, _get("/admin/metrics")),
)


@contextmanager
def busy(work: Work, url: str, headers: dict[str, str]) -> Iterator[list[int]]:
    """The clients of ``work`` at it until the block ends; how often they were answered."""
    stop = threading.Event()
    answered = [0]
    failed: list[Exception] = []

    def run() -> None:
        session = requests.Session()
        session.headers.update(headers)
        while not stop.is_set():
            try:
                work.ask(session, url)
            except requests.RequestException as error:
                failed.append(error)
                return
            answered[0] += 1

    threads = [threading.Thread(target=run) for _ in range(work.clients)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]


def compare(
    ports: tuple[int, int], asking: dict[Work, dict[str, str]], lines: Path, options: Any
) -> bool:
    agent, admin = ports
    print(
        f"{'':28}{'answers':>9}{'p50 ms':>8}{'p99 ms':>8}{'alone':>8}{'alone':>8}"
        f"{'p50':>7}{'p99':>7}{'lag':>7}"
    )
    start, good = 0, True

    def check_in() -> paced.Paced:
        nonlocal start
        for _ in range(TRIES):
            found = paced.pace(agent, lines, start, options.rate, options.seconds, options.core)
            start += found.offered
            assert not found.bad + found.broken, found
            if found.lag <= MOST_LAG:
                break
        return found

    check_in()
    for work, headers in asking.items():
        if options.only and options.only not in work.name:
            continue
        pairs, answers = [], 0
        for _ in range(options.rounds):
            alone = check_in()
            with busy(work, f"http://127.0.0.1:{admin}", headers) as answered:
                beside = check_in()
            answers += answered[0]
            pairs.append((alone, beside))
        p50, p99 = (
            statistics.median(getattr(b, name) / getattr(a, name) for a, b in pairs)
            for name in ("p50", "usual_p99")
        )
        is_good = p99 <= MOST_P99 if work is BROWSING else p50 <= MOST_SLOWER
        good &= is_good
        last_alone, last = pairs[-1]
        print(
            f"{work.name:28}{answers:9}{last.p50 * 1000:8.2f}{last.usual_p99 * 1000:8.2f}"
            f"{last_alone.p50 * 1000:8.2f}{last_alone.usual_p99 * 1000:8.2f}{p50:7.2f}{p99:7.2f}"
            f"{last.lag * 1000:7.2f}{'' if is_good else '  MISSED'}",
            flush=True,
        )
    return good


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--servers", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=200, help="check-ins a second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="of what sends check-ins")
    parser.add_argument("--only", help="works whose name has this")
    options = parser.parse_args(arguments)
    folder: Path = options.folder / str(options.servers)
    fill(folder, options.servers)
    portal = opened(folder)
    with db.connection():
        if users.find(_USER) is None:
            users.add(portal, _USER, "a long password", readonly=False)
        user = User.get_by_id(_USER)
        token = sessions.begin(portal.config, user, "127.0.0.1", "bench")
        session = {"Cookie": f"eportal_session={token}"}
        api_key = {"X-Api-Key": new_key(user.username, write=True)}
    db.close()
    print(f"{options.servers} servers, {options.rate} check-ins/s, {os.cpu_count()} cores")
    with TemporaryDirectory() as work, serving(folder) as served:
        lines = Path(work) / "requests"
        data.write_requests(lines, options.servers, 50_000, 1, 0.05)
        admin = int(served.cli.settings["ADMIN_PORT"])
        # A portal that has just started counts its servers; this waits for that.
        requests.get(f"http://127.0.0.1:{admin}/admin/metrics", headers=api_key, timeout=60)
        # The clients are other machines' work: they leave this one to the portal.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        asking = {work: session if work is BROWSING else api_key for work in WORKS}
        good = compare((int(served.url.rpartition(":")[2]), admin), asking, lines, options)
    print(json.dumps({"good": good}))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
