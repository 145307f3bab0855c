"""``download-missing``: what a restored backup or a damaged disk left is made whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.patches import DB, WEB
from tests.support.publishing import Publisher, pack
from tests.support.updating import Below, said

FIRST, SECOND = "K20260101_01", "K20260102_01"


def lost(data_dir: Path, *names: str) -> None:
    for name in names:
        (data_dir / "arch" / f"{name}.tar.bz2").unlink()
        (data_dir / "arch" / f"{name}.meta.json").unlink()
    shutil.rmtree(data_dir / "resources")


def test_after_a_restore_everything_comes_again(below: Below) -> None:
    below.ok("kcare", "update")
    below.ok("kcare", "disable", FIRST)
    whole = below.kc.world()
    lost(below.kc.data_dir, FIRST, SECOND)
    told = below.ok("kcare", "download-missing")
    assert sorted(told) == [f"{FIRST} was downloaded", f"{SECOND} was downloaded"]
    assert below.ok("kcare", "verify")[-1] == "2 patchsets were verified, 0 faults were found"
    rows, files = below.kc.world()
    assert rows == whole[0]
    assert {name for name in files if name.startswith(("arch", "resources"))} == {
        name for name in whole[1] if name.startswith(("arch", "resources"))
    }
    assert below.ok("kcare", "download-missing") == ["All of KernelCare is whole: 2 patchsets"]


def test_a_whole_archive_needs_no_source(below: Below) -> None:
    below.ok("kcare", "update")
    shutil.rmtree(below.kc.data_dir / "resources" / WEB)
    done = below.kc("kcare", "download-missing")
    assert (done.code, done.err) == (0, "")
    assert said(done) == [
        f"{FIRST} was put in order from its archive",
        f"{SECOND} was put in order from its archive",
    ]
    assert below.kc("kcare", "verify").code == 0


def test_what_cannot_be_had_is_said_and_the_rest_comes(
    below: Below, publisher: Publisher, tmp_path: Path
) -> None:
    below.ok("kcare", "update")
    below.ok("kcare", "deploy", pack(tmp_path / "own", "K20250101_01", {DB: 9}))
    lost(below.kc.data_dir, FIRST, SECOND, "K20250101_01")
    publisher.remove(FIRST)
    done = below("kcare", "download-missing")
    assert done.code == 1
    assert done.said == "2 of 3 patchsets could not be had: K20250101_01, K20260101_01."
    unlisted = "could not be had: the patch source does not list it"
    assert said(done) == [
        f"{SECOND} was downloaded",
        f"K20250101_01 {unlisted}",
        f"{FIRST} {unlisted}",
    ]
    assert below.kc("kcare", "verify", SECOND).code == 0


def test_without_a_source_the_missing_are_not_to_be_had(below: Below) -> None:
    below.ok("kcare", "update")
    lost(below.kc.data_dir, FIRST, SECOND)
    assert below.kc("kcare", "download-missing").said.startswith("No patch source is set")
