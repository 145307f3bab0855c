"""The sweep: it removes what a crash left, and nothing else, whatever it finds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from eportal_core.agent import files
from eportal_core.errors import StorageError
from eportal_core.operations import keys, patchsets
from eportal_core.portal import Portal
from eportal_core.storage import Entry, Storage
from eportal_core.web import files as web_files
from tests.support.agents import basic, register
from tests.support.mortal import Fate, Mortals
from tests.support.patches import DB, KERNEL, WEB, archive
from tests.support.serving import serving
from tests.support.states import state_of

NAME = "K20260101_01"
LEVEL = f"resources/{WEB}/1"
ENTRY = Entry(f"kernel/{NAME}", [LEVEL], WEB, 1)

#: What a disk may make of a journal; a crash cannot.
DAMAGED = {
    "empty": b"",
    "cut": b'[{"patchset":"kernel/K2026',
    "zeros": bytes(4096),
    "not text": b"\xff\xfe" * 100,
    "another shape": b'{"patchset": 1}',
    "another type": b'[{"patchset":"kernel/x","paths":[1]}]',
    "deep": b"[" * 100_000,
}


@pytest.fixture
def known() -> set[str]:
    """Owners that the database knows."""
    return set()


@pytest.fixture
def storage(tmp_path: Path, known: set[str]) -> Storage:
    """Empty folders, and a database that knows what ``known`` says."""
    made = Storage(tmp_path / "var", tmp_path / "var", lambda entry: entry.patchset in known)
    made.create()
    return made


def left_behind(storage: Storage, *entries: Entry) -> Path:
    """What work that died leaves: its workspace, its journal, and the files named there."""
    workspace = storage.workspace()
    (workspace / "content").mkdir()
    (workspace / "content" / "kpatch.bin").write_bytes(b"new")
    storage.journal(workspace, entries)
    for entry in entries:
        for path in entry.paths:
            place = storage.patches_dir / path
            place.mkdir(parents=True)
            (place / "kpatch.bin").write_bytes(b"new")
    return workspace


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_sweep_removes_what_the_database_does_not_know(storage: Storage) -> None:
    left_behind(storage, ENTRY)
    storage.sweep()
    assert names(storage.patches_dir) == {"arch", "staging"}
    assert names(storage.staging) == {"lock"}


def test_the_sweep_leaves_what_the_database_knows(storage: Storage, known: set[str]) -> None:
    other = Entry("kernel/K20260102_01", [f"resources/{WEB}/2"], WEB, 2)
    left_behind(storage, ENTRY, other)
    known.add(ENTRY.patchset)
    storage.sweep()
    assert (storage.patches_dir / LEVEL / "kpatch.bin").read_bytes() == b"new"
    assert names(storage.patches_dir / "resources" / WEB) == {"1"}
    assert names(storage.staging) == {"lock"}


def test_the_sweep_waits_for_nobody_and_touches_nothing_while_another_is_at_work(
    storage: Storage,
) -> None:
    with storage.exclusive():
        workspace = left_behind(storage, ENTRY)
        storage.sweep()
        assert names(workspace) == {"content", "journal.json"}
        assert (storage.patches_dir / LEVEL).is_dir()
    assert names(storage.staging) == {"lock"}


def test_a_journal_under_way_names_nothing(storage: Storage) -> None:
    """The journal is renamed into its name before anything it names appears."""
    left_behind(storage, ENTRY)
    (workspace,) = (path for path in storage.staging.iterdir() if path.is_dir())
    (workspace / "journal.json").rename(workspace / "journal.json.new")
    (workspace / "journal.json.new").write_bytes(DAMAGED["cut"])
    storage.sweep()
    assert names(storage.staging) == {"lock"}
    assert (storage.patches_dir / LEVEL).is_dir()


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_journal_is_told_and_given_up(
    kind: str, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = left_behind(storage, ENTRY)
    (workspace / "journal.json").write_bytes(DAMAGED[kind])
    with storage.exclusive():
        pass
    assert names(storage.staging) == {"lock"}
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(workspace / "journal.json") in record.message
    assert "Deploying that archive again puts them in order." in record.message


def deploy_died(run: Mortals, data_dir: Path, path: Path) -> Path:
    """Kill a deploy whose files were all in place; returns its workspace."""
    fate = Fate(die_before="sql BEGIN")
    assert run(data_dir, "kcare", "deploy", path, fate=fate).died
    (workspace,) = (path for path in (data_dir / "staging").iterdir() if path.is_dir())
    return workspace


@pytest.mark.parametrize("lost", ["journal", "database"])
def test_what_nothing_names_any_more_gives_way_to_a_deploy(
    lost: str, run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    first = archive(tmp_path, NAME, {WEB: 1, DB: 1})
    run.ok(tmp_path / "whole", "kcare", "deploy", first)
    if lost == "journal":
        run.ok(data_dir, "feed")
        (deploy_died(run, data_dir, first) / "journal.json").write_bytes(b"")
        assert "was damaged" in run.ok(data_dir, "sweep")
    else:
        run.ok(data_dir, "kcare", "deploy", first)
        for path in data_dir.glob("eportal.sqlite*"):
            path.unlink()
    assert (data_dir / LEVEL).is_dir()
    run.ok(data_dir, "kcare", "deploy", first)
    assert state_of(data_dir) == state_of(tmp_path / "whole")


def test_an_archive_that_comes_back_under_another_suffix_mends_the_old_one(
    run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    first = archive(tmp_path, NAME, {WEB: 1})
    run.ok(data_dir, "kcare", "deploy", first)
    before = state_of(data_dir)
    (data_dir / "arch" / first.name).unlink()
    run.ok(data_dir, "kcare", "deploy", first.rename(tmp_path / f"{NAME}.tar.gz"))
    assert state_of(data_dir) == before
    run.ok(data_dir, "kcare", "verify")


def test_serving_begins_with_a_sweep(run: Mortals, tmp_path: Path, data_dir: Path) -> None:
    run.ok(data_dir, "feed")
    before = state_of(data_dir)
    deploy_died(run, data_dir, archive(tmp_path, NAME, {WEB: 1}))
    assert state_of(data_dir) != before
    with serving(data_dir, "--only", "agent"):
        assert state_of(data_dir) == before


def test_a_portal_that_cannot_sweep_serves_all_the_same(
    run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    run.ok(data_dir, "feed")
    deploy_died(run, data_dir, archive(tmp_path, NAME, {WEB: 1}))
    (data_dir / "staging" / "lock").unlink()
    (data_dir / "staging" / "lock").mkdir()
    with serving(data_dir, "--only", "agent") as portal:
        assert "What a crash left stays until the next deploy." in portal.log.read_text()


def test_strangers_in_the_staging_folder_stay_and_harm_nothing(storage: Storage) -> None:
    """Only folders are work under way; a forgotten archive is its owner's."""
    outside = storage.data_dir.with_name("outside")
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (storage.staging / "note.txt").write_text("kept")
    (storage.staging / "link").symlink_to(outside)
    (storage.staging / "dangling").symlink_to("nowhere")
    left_behind(storage, ENTRY)
    with storage.exclusive():
        pass
    assert names(storage.staging) == {"lock", "note.txt", "link", "dangling"}
    assert names(outside) == {"precious"}


def test_the_lock_is_never_written_to(storage: Storage) -> None:
    precious = storage.data_dir / "precious"
    precious.write_text("kept")
    (storage.staging / "lock").symlink_to(precious)
    with storage.exclusive():
        storage.sweep()
    assert precious.read_text() == "kept"


@pytest.mark.parametrize("link", ["resources", f"resources/{WEB}"])
def test_no_link_leads_the_sweep_out_of_the_patches_directory(
    link: str, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    left_behind(storage, ENTRY)
    outside = storage.data_dir.with_name("outside")
    (storage.patches_dir / link).rename(outside)
    (storage.patches_dir / link).symlink_to(outside)
    storage.sweep()
    assert list(outside.rglob("kpatch.bin"))
    assert "leads out of the patches directory" in caplog.text
    assert names(storage.staging) == {"lock"}


def test_no_link_leads_a_deploy_out_of_the_patches_directory(
    run: Mortals, tmp_path: Path, data_dir: Path
) -> None:
    """Neither what is mended nor what is nobody's is taken from there."""
    first = archive(tmp_path, NAME, {WEB: 1})
    run.ok(data_dir, "kcare", "deploy", first)
    outside = tmp_path / "outside"
    (data_dir / "resources" / WEB).rename(outside)
    (data_dir / "resources" / WEB).symlink_to(outside)
    (outside / "1" / "kpatch.bin").write_bytes(b"precious")
    outcome = run(data_dir, "kcare", "deploy", first)
    assert outcome.returncode == 1
    assert f"resources/{WEB} is a link, and no folder of a target: remove it." in outcome.output
    assert (outside / "1" / "kpatch.bin").read_bytes() == b"precious"


def test_a_level_that_became_a_link_goes_without_what_it_leads_to(storage: Storage) -> None:
    left_behind(storage, ENTRY)
    outside = storage.data_dir.with_name("outside")
    (storage.patches_dir / LEVEL).rename(outside)
    (storage.patches_dir / LEVEL).symlink_to(outside)
    storage.sweep()
    assert names(storage.patches_dir) == {"arch", "staging"}
    assert names(outside) == {"kpatch.bin"}


@pytest.mark.parametrize("path", ["../outside", "resources/../../outside", "/outside"])
def test_a_journal_names_nothing_outside_the_patches_directory(path: str, storage: Storage) -> None:
    outside = storage.data_dir.with_name("outside")
    outside.mkdir()
    named = str(outside) if path.startswith("/") else path
    workspace, entry = storage.workspace(), Entry(f"kernel/{NAME}", [named])
    with pytest.raises(StorageError, match="leads out of the patches directory"):
        storage.journal(workspace, [entry])
    # Nor does one that somebody else wrote.
    (workspace / "journal.json").write_bytes(msgspec.json.encode([entry]))
    storage.sweep()
    assert not workspace.exists()
    assert outside.is_dir()


class TestFilesThatGo:
    """``unroll --delete`` removes a file at the moment an agent asks for it."""

    @pytest.fixture
    def kpatch(self, portal: Portal, tmp_path: Path) -> Path:
        keys.add(portal, "KEY")
        patchsets.deploy(portal, KERNEL, archive(tmp_path, NAME, {WEB: 1}))
        return portal.config.patches_dir / LEVEL / "kpatch.bin"

    def test_before_it_is_opened(
        self, kpatch: Path, agent: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def and_then_it_went(*arguments: object) -> bool:
            kpatch.unlink()
            return True

        server = register(agent, "KEY")
        monkeypatch.setattr(files, "_in_feed", and_then_it_went)
        answer = agent.get(f"/{WEB}/1/kpatch.bin", headers=basic(server))
        assert answer.status_code == 404

    @pytest.mark.parametrize("part", [{}, {"Range": "bytes=10-19"}])
    def test_after_it_was_opened(
        self,
        part: dict[str, str],
        kpatch: Path,
        agent: TestClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        class ThenItWent(web_files._OpenFileResponse):
            async def __call__(self, *arguments: Any) -> None:
                kpatch.unlink()
                await super().__call__(*arguments)

        whole = kpatch.read_bytes()
        server = register(agent, "KEY")
        monkeypatch.setattr(web_files, "_OpenFileResponse", ThenItWent)
        answer = agent.get(f"/{WEB}/1/kpatch.bin", headers={**basic(server), **part})
        assert answer.content == (whole[10:20] if part else whole)
