"""What takes the room: by product, by feed, quickly, and each file once."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from eportal_core.disk_usage import usage
from eportal_core.portal import Portal
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import DB, WEB, archive

KB = 1024


def du(*paths: Path) -> int:
    """Bytes on the disk as du counts them."""
    done = subprocess.run(
        ["du", "-s", "-c", "--block-size=1", *paths], check=True, capture_output=True, text=True
    )
    return int(done.stdout.splitlines()[-1].split()[0])


def product(found: dict[str, Any], name: str) -> dict[str, Any]:
    (row,) = [row for row in found["products"] if row["product"] == name]
    return row


def feed(found: dict[str, Any], name: str) -> dict[str, Any]:
    (row,) = [row for row in found["feeds"] if row["feed"] == name]
    return row


def everything(found: dict[str, Any]) -> int:
    products = sum(row["archives"] + row["trees"] for row in found["products"])
    return products + found["cache"] + found["staging"] + found["database"] + found["other"]


def test_a_fresh_portal_has_nearly_nothing(kc: InProcess) -> None:
    found = kc.json("storage")
    assert all(row["archives"] == 0 for row in found["products"])
    assert found["feeds"] == [{"feed": "main", "enabled": 0, "freed": 0}]
    assert found["database"] > 0
    (free,) = found["free"].values()
    assert free > 0


def test_all_of_it_is_told_by_product_and_feed(kc: InProcess, tmp_path: Path) -> None:
    kc.ok("feed", "-a", "test")
    both = archive(tmp_path, "K20260101_01", {WEB: 1}, 300 * KB)
    lone = archive(tmp_path, "K20260102_01", {DB: 2}, 500 * KB)
    kc.ok("kcare", "deploy", both)
    kc.ok("kcare", "deploy", "--feed", "test", both, lone)
    (kc.data_dir / "cache").mkdir()
    (kc.data_dir / "cache" / "file").write_bytes(os.urandom(70 * KB))
    (kc.data_dir / "arch" / "nobody.tar.bz2").write_bytes(os.urandom(90 * KB))
    (kc.data_dir / "notes").write_bytes(os.urandom(50 * KB))
    found = kc.json("storage")

    kernel = product(found, "kernel")
    arch, tree = kc.data_dir / "arch", kc.data_dir / "resources"
    own = {
        name: du(arch / f"{name}.tar.bz2", arch / f"{name}.meta.json")
        for name in ("K20260101_01", "K20260102_01")
    }
    assert kernel == {
        "product": "kernel",
        "patchsets": 2,
        "archives": sum(own.values()),
        "trees": du(tree),
    }
    assert product(found, "libcare")["patchsets"] == 0
    first = own["K20260101_01"] + du(tree / WEB / "1")
    second = own["K20260102_01"] + du(tree / DB / "2")
    assert feed(found, "main") == {"feed": "main", "enabled": first, "freed": 0}
    assert feed(found, "test") == {"feed": "test", "enabled": first + second, "freed": second}
    assert found["cache"] == du(kc.data_dir / "cache")
    assert found["other"] >= 140 * KB
    assert abs(everything(found) - du(kc.data_dir)) < 64 * KB

    kc.ok("kcare", "disable", "K20260102_01", "--feed", "test")
    found = kc.json("storage")
    assert feed(found, "test") == {"feed": "test", "enabled": first, "freed": second}


def test_what_removing_a_feed_frees_is_what_it_told(kc: InProcess, tmp_path: Path) -> None:
    kc.ok("feed", "-a", "test")
    for name, levels in (("K20260101_01", {WEB: 1, DB: 1}), ("K20260102_01", {WEB: 1, DB: 2})):
        folder = tmp_path / name
        folder.mkdir()
        path = archive(folder, name, levels, 400 * KB)
        kc.ok("kcare", "deploy", "--feed", "main" if name.endswith("101_01") else "test", path)
    before = kc.json("storage")
    kc.ok("feed", "-d", "test")
    kc.ok("kcare", "unroll", "K20260102_01", "--delete")
    after = kc.json("storage")
    was, now = product(before, "kernel"), product(after, "kernel")
    freed = was["archives"] + was["trees"] - now["archives"] - now["trees"]
    # Level 1 of WEB stays: the other patchset has it too. Folders above levels may shrink.
    assert 400 * KB < feed(before, "test")["freed"] <= freed < 800 * KB
    assert freed - feed(before, "test")["freed"] <= 16 * KB


def test_hard_links_and_links_are_not_counted_twice(kc: InProcess, tmp_path: Path) -> None:
    kc.ok("feed")
    before = kc.json("storage")
    folder = kc.data_dir / "esu" / "repository"
    folder.mkdir(parents=True)
    (folder / "one").write_bytes(os.urandom(1000 * KB))
    (folder / "two").hardlink_to(folder / "one")
    (kc.data_dir / "cache").mkdir(exist_ok=True)
    (kc.data_dir / "cache" / "three").hardlink_to(folder / "one")
    (tmp_path / "large").write_bytes(os.urandom(2000 * KB))
    (folder / "link").symlink_to(tmp_path / "large")
    (kc.data_dir / "cache" / "folder").symlink_to(tmp_path)
    (folder / "itself").symlink_to(folder)
    after = kc.json("storage")
    grown = everything(after) - everything(before)
    assert 1000 * KB <= grown < 1100 * KB
    assert product(after, "tuxcare-esu")["trees"] >= 1000 * KB
    assert after["cache"] < 100 * KB


def test_leftovers_in_staging_are_told(kc: InProcess) -> None:
    kc.ok("feed")
    leftover = kc.data_dir / "staging" / "leftover"
    leftover.mkdir()
    (leftover / "file").write_bytes(os.urandom(300 * KB))
    assert kc.json("storage")["staging"] == du(kc.data_dir / "staging")


@pytest.mark.parametrize("place", ["patches", "a/b/patches", "../patches", ".."])
def test_wherever_the_patches_are_nothing_counts_twice(
    kc: InProcess, tmp_path: Path, place: str
) -> None:
    patches = Path(os.path.normpath(kc.data_dir / place))
    patches.mkdir(parents=True, exist_ok=True)
    path = archive(tmp_path, "K20260101_01", {WEB: 1}, 300 * KB)
    settings = {"EPORTAL_PATCHES_DIR": str(patches)}
    kc.ok("kcare", "deploy", path, **settings)
    (patches / "staging" / "left").mkdir()
    (patches / "staging" / "left" / "file").write_bytes(os.urandom(200 * KB))
    import json

    found = json.loads(kc.ok("storage", "--json", **settings))
    assert product(found, "kernel")["trees"] == du(patches / "resources")
    assert found["staging"] == du(patches / "staging")
    inside = kc.data_dir.is_relative_to(patches) or patches.is_relative_to(kc.data_dir)
    whole = min(patches, kc.data_dir, key=lambda path: len(path.parts))
    expected = du(whole) if inside else du(patches, kc.data_dir)
    assert abs(everything(found) - expected) < 64 * KB


def test_people_get_a_table(kc: InProcess, tmp_path: Path) -> None:
    kc.ok("kcare", "deploy", archive(tmp_path, "K20260101_01", {WEB: 1}, 3000 * KB))
    said = kc.ok("storage")
    (line,) = [line for line in said.splitlines() if line.startswith("KernelCare ")]
    assert [cell.strip() for cell in line.split("|")][1] == "1"
    assert "2.9 MiB" in line or "3.0 MiB" in line
    assert "are free at" in said


def test_a_hundred_thousand_files_take_seconds(data_dir: Path) -> None:
    portal = opened(data_dir)
    for number in range(100):
        folder = data_dir / "resources" / f"{number:040x}" / "1"
        folder.mkdir(parents=True)
        for name in range(1000):
            (folder / str(name)).touch()
    assert _timed(portal) < 5


def _timed(portal: Portal) -> float:
    began = time.process_time()
    usage(portal)
    took = time.process_time() - began
    print(f"usage of 100,000 files: {took:.2f} s of CPU")
    return took
