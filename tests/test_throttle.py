"""How often a login may be wrong, and who is kept out by it: whoever guesses, and nobody else."""

from __future__ import annotations

import statistics
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from eportal_core import AccessDenied, Identity, Portal, PortalError, db, hookimpl
from eportal_core.auth import api_keys, throttle
from eportal_core.errors import TooOften
from eportal_core.models import ApiKey, LoginFailure, now
from tests.support.logins import PASSWORD, browser_of, log_in, with_users
from tests.support.opening import opened
from tests.support.plugins import Installed

WHOAMI = "/admin/api/whoami"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def portal(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    monkeypatch.setattr(throttle, "_familiar", {})
    with with_users(opened(data_dir)) as fresh:
        yield fresh


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


def by_form(browser: TestClient, name: str, password: str) -> Any:
    return log_in(browser, name, password)


def by_basic(browser: TestClient, name: str, password: str) -> Any:
    return browser.get(WHOAMI, headers=basic(name, password))


def fail(name: str, address: str, count: int) -> None:
    """Fail without the cost of hashing."""
    for _ in range(count):
        with pytest.raises(AccessDenied), db.connection(), throttle.attempt(name, address):
            raise AccessDenied("no")


def is_refused(name: str | None, address: str) -> bool:
    try:
        with db.connection(), throttle.attempt(name, address):
            raise PortalError("not tried")
    except TooOften:
        return True
    except PortalError:
        return False


@pytest.mark.parametrize("way", [by_form, by_basic])
@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_the_sixth_wrong_password_is_not_even_tried(portal: Portal, way: Any, name: str) -> None:
    with browser_of(portal) as browser:
        answers = [way(browser, name, f"wrong {number}") for number in range(5)]
        assert {answer.status_code for answer in answers} == {403 if way is by_form else 401}
        started = time.monotonic()
        answer = way(browser, name, PASSWORD)
        assert time.monotonic() - started < 1
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 301
        assert "Too many logins failed: try again in 5 minutes." in answer.text
        # The other way is the same door, and the case of letters makes no other name.
        other = by_basic if way is by_form else by_form
        assert other(browser, name.upper(), PASSWORD).status_code == 429
        # Other users of this address, and this one from other addresses, are not kept out.
        assert other(browser, "bert", PASSWORD).status_code in (200, 303)
    with browser_of(portal, client=ELSEWHERE) as browser:
        assert way(browser, "anna", PASSWORD).status_code in (200, 303)


def test_a_restart_is_no_way_around(portal: Portal, data_dir: Path) -> None:
    fail("anna", HOME, 5)
    db.close()
    with browser_of(opened(data_dir)) as browser:
        assert log_in(browser).status_code == 429


def test_after_five_minutes_it_is_forgotten(portal: Portal) -> None:
    fail("anna", HOME, 5)
    with db.connection():
        LoginFailure.update(time=now() - throttle.WINDOW + timedelta(seconds=5)).execute()
        assert is_refused("anna", HOME)
        LoginFailure.update(time=now() - throttle.WINDOW).execute()
        assert not is_refused("anna", HOME)
        fail("bert", HOME, 1)
        assert LoginFailure.select().count() == 1


def test_a_clock_that_leaps_keeps_nobody_out_for_long(portal: Portal) -> None:
    fail("anna", HOME, 5)
    with db.connection():
        LoginFailure.update(time=now() + timedelta(days=400)).execute()
    assert not is_refused("anna", HOME)
    with db.connection():
        assert LoginFailure.select().count() == 0


def test_a_right_password_forgives_those_before_it(portal: Portal) -> None:
    with browser_of(portal) as browser:
        for _ in range(3):
            fail("anna", HOME, 4)
            assert log_in(browser).status_code == 303
    with db.connection():
        assert LoginFailure.select().count() == 0


def test_one_address_may_be_wrong_so_often_about_everybody(portal: Portal) -> None:
    for number in range(throttle.OF_ADDRESS):
        fail(f"user {number}", HOME, 1)
    assert is_refused("anna", HOME)
    assert is_refused(None, HOME)
    assert not is_refused("anna", ELSEWHERE)


def test_the_addresses_of_one_ipv6_network_count_together(portal: Portal) -> None:
    for number in range(5):
        fail("anna", f"2001:db8::{number:x}", 1)
    assert is_refused("anna", "2001:db8::ffff:ffff:ffff:ffff")
    assert not is_refused("anna", "2001:db8:0:1::1")


def test_one_user_may_be_guessed_so_often_from_everywhere(portal: Portal) -> None:
    with db.connection(), throttle.attempt("anna", HOME):
        pass
    for number in range(throttle.OF_NAME // 5):
        fail("anna", f"203.0.113.{number}", 5)
    assert is_refused("anna", ELSEWHERE)
    # From where anna was right before, she still gets in.
    assert not is_refused("anna", HOME)
    assert not is_refused("bert", ELSEWHERE)


def test_a_password_that_was_right_is_not_kept_out_by_guesses(portal: Portal) -> None:
    with browser_of(portal) as program:
        assert program.get(WHOAMI, headers=basic("anna")).status_code == 200
        fail("anna", HOME, 5)
        assert program.get(WHOAMI, headers=basic("anna", "wrong")).status_code == 429
        assert program.get(WHOAMI, headers=basic("anna")).status_code == 200


def test_guesses_at_once_are_no_more_than_guesses_in_turn(portal: Portal) -> None:
    with browser_of(portal) as browser, ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda n: by_basic(browser, "anna", f"wrong {n}").status_code, range(20))
        codes = sorted(answers)
    assert codes == [401] * 5 + [429] * 15
    with db.connection():
        assert LoginFailure.select().count() == 5


def test_programs_that_begin_at_once_are_one_try(portal: Portal) -> None:
    with browser_of(portal) as browser, ThreadPoolExecutor(30) as pool:
        codes = set(pool.map(lambda n: by_basic(browser, "anna", PASSWORD).status_code, range(60)))
    assert codes == {200}


class Slow:
    """A directory that takes its time."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.goes_on = threading.Event()
        self.now = self.most = 0

    @hookimpl
    def eportal_authenticate(self, portal: Portal, username: str, password: str) -> Identity | None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.asked.release()
        assert self.goes_on.wait(60)
        self.now -= 1
        return None


def test_slow_logins_leave_threads_for_others(
    installed: Installed, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_familiar", {})
    slow = Slow()
    installed.plugin("slow", slow)
    portal = opened(data_dir, installed.load())
    with with_users(portal), browser_of(portal) as browser, ThreadPoolExecutor(40) as pool:
        flood = [
            pool.submit(by_basic, browser, f"user {number}", "wrong")
            for number in range(throttle.AT_ONCE)
        ]
        for _ in flood:
            assert slow.asked.acquire(timeout=60)
        answer = by_basic(browser, "one more", "wrong")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        assert browser.get("/admin/login").status_code == 200
        slow.goes_on.set()
        assert {each.result().status_code for each in flood} == {401}
    assert slow.most == throttle.AT_ONCE


def test_an_outage_of_the_directory_is_nobodys_guess(installed: Installed, data_dir: Path) -> None:
    class Down:
        @hookimpl
        def eportal_authenticate(self, portal: Portal, username: str, password: str) -> None:
            raise TimeoutError("down")

    installed.plugin("down", Down())
    portal = opened(data_dir, installed.load())
    with with_users(portal), browser_of(portal) as browser:
        for _ in range(8):
            assert by_basic(browser, "carl", "any").status_code == 500
        assert LoginFailure.select().count() == 0


def test_guessed_api_keys_keep_out_who_guesses_and_no_user(portal: Portal) -> None:
    token = api_keys.new_token()
    with db.connection():
        ApiKey.create(id="k", user="anna", name="k", digest=api_keys.digest(token))
    with browser_of(portal) as program:
        for _ in range(throttle.OF_ADDRESS):
            assert program.get(WHOAMI, headers={"X-Api-Key": "guess"}).status_code == 401
        answer = program.get(WHOAMI, headers={"X-Api-Key": "guess"})
        assert (answer.status_code, answer.json()["error"]) == (429, "too-often")
        assert program.get(WHOAMI, headers={"X-Api-Key": token}).status_code == 200
        assert log_in(program).status_code == 303


def test_what_is_kept_of_failures_is_bounded_and_names_nobody(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "ROWS_MAX", 10)
    for number in range(30):
        fail("typed my password here", f"10.0.{number}.1", 1)
    with db.connection():
        rows = list(LoginFailure.select().order_by(LoginFailure.id))
    assert len(rows) <= 10
    assert rows[-1].address == "10.0.29.1"
    assert all("typed" not in row.username for row in rows)


def test_a_name_that_is_nobodys_takes_as_long(portal: Portal, monkeypatch: Any) -> None:
    monkeypatch.setattr(throttle, "OF_BOTH", 100)

    def seconds(name: str) -> float:
        started = time.perf_counter()
        assert by_basic(browser, name, "wrong").status_code == 401
        return time.perf_counter() - started

    with browser_of(portal) as browser:
        seconds("nobody"), seconds("anna")
        both = [(seconds("nobody"), seconds("anna")) for _ in range(7)]
    nobody, anna = (statistics.median(times) for times in zip(*both, strict=True))
    assert 0.5 < nobody / anna < 2
