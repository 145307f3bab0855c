"""How old data is, as doctor and the index page tell it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from eportal_core import db
from eportal_core.admin.app import admin_app
from eportal_core.data_age import CHECK, JOB, check_source
from eportal_core.models import JobRun, now
from eportal_core.portal import Portal
from eportal_core.source import client
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.sources import make_source, spoil


def page(portal: Portal) -> str:
    answer = TestClient(admin_app(portal)).get("/admin/")
    assert answer.status_code == 200
    return answer.text


def read_before(monkeypatch: pytest.MonkeyPatch, age: timedelta | None) -> None:
    moment = None if age is None else now() - age
    monkeypatch.setattr(client, "last_refresh", lambda portal: moment)


@pytest.mark.parametrize(
    ("age", "limit", "ok", "finding"),
    [
        (None, 7, False, "it was never read"),
        (timedelta(minutes=1), 7, True, "trusted, data is 0 days old"),
        (timedelta(hours=1), 7, True, "trusted, data is 0 days old"),
        (timedelta(days=1, hours=1), 7, True, "trusted, data is 1 day old"),
        (timedelta(days=6, hours=23), 7, True, "trusted, data is 6 days old"),
        (timedelta(days=7, hours=1), 7, False, "data is 7 days old"),
        (timedelta(days=7, hours=1), 30, True, "trusted, data is 7 days old"),
        # The clock was set back.
        (timedelta(days=-400), 7, True, "trusted, data is 0 days old"),
    ],
)
def test_doctor_and_the_index_page_agree(
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    age: timedelta | None,
    limit: int,
    ok: bool,
    finding: str,
) -> None:
    portal = opened(data_dir, PATCH_SOURCE_URL="http://127.0.0.1:9", DATA_AGE_LIMIT=limit)
    read_before(monkeypatch, age)
    with db.connection():
        JobRun.create(name=JOB, started=now(), ended=now(), ok=True)
        found = check_source(portal)
    assert (found.ok, found.finding) == (ok, finding)
    assert ok or found.advice
    is_old = not ok and age is not None
    assert ("days old" in page(portal)) == is_old
    if is_old:
        assert "Data is 7 days old." in page(portal)
    db.close()


@pytest.mark.parametrize(
    ("read", "started", "finding"),
    [
        (None, None, "it was never read, and no update ever ran"),
        (timedelta(minutes=31), None, "data is 0 days old, and no update ran since"),
        (timedelta(days=2), timedelta(minutes=31), "data is 2 days old, and no update ran since"),
        (timedelta(days=2), timedelta(minutes=29), ""),
        # A command has read it.
        (timedelta(minutes=29), timedelta(days=3), ""),
        # The clock was set back.
        (timedelta(days=-2), timedelta(days=-2), ""),
    ],
)
def test_doctor_tells_that_nothing_updates(
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: timedelta | None,
    started: timedelta | None,
    finding: str,
) -> None:
    portal = opened(data_dir, PATCH_SOURCE_URL="http://127.0.0.1:9")
    read_before(monkeypatch, read)
    with db.connection():
        if started is not None:
            JobRun.create(name=JOB, started=now() - started, ended=now(), ok=True)
        found = check_source(portal)
        assert found.ok == (not finding)
        assert finding in found.finding
        if finding and read is not None:
            assert "kc.eportal serve" in found.advice
            # What takes that long may still be at it.
            assert check_source(portal, updating=True).ok
    db.close()


def test_doctor_tells_why_the_source_was_never_read(kc: InProcess, tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", ["kernel"])
    kc.ok("config", "set", "PATCH_SOURCE_URL", str(source.folder))
    kc("jobs", "run", "update-patches")
    told = kc("doctor").out
    assert "it was never read, and the last update failed: The patch source" in told
    assert "kc.eportal source trust" in told


def test_a_portal_without_source_is_well(kc: InProcess) -> None:
    (check,) = [check for check in kc.json("doctor") if check["name"] == CHECK]
    assert check["ok"]
    assert "not set" in check["finding"]


def test_a_portal_that_lives_of_bundles_has_data_that_ages(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_before(monkeypatch, timedelta(days=40))
    assert check_source(portal).finding == "data is 40 days old"
    assert "Data is 40 days old" in page(portal)


def test_doctor_tells_at_once_that_the_source_is_refused(kc: InProcess, tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", ["kernel"])
    kc.ok("config", "set", "PATCH_SOURCE_URL", str(source.folder))
    kc.ok("source", "trust", "--fingerprint", source.fingerprint)
    kc.ok("jobs", "run", "update-patches")
    (check,) = [check for check in kc.json("doctor") if check["name"] == CHECK]
    assert check["ok"]
    good = source.saved()
    spoil(source.folder / "metadata" / "timestamp.json", 40)
    kc("jobs", "run", "update-patches")
    said = kc("doctor").out
    assert "data is 0 days old, and the last update failed: The patch source" in said
    assert "run kc.eportal jobs run update-patches" in said
    source.restore(good)
    kc.ok("kcare", "update")
    (check,) = [check for check in kc.json("doctor") if check["name"] == CHECK]
    assert check["ok"]
