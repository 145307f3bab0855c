"""``kc.eportal kcare``: patchsets come, change their state, and go."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from eportal_core import PatchsetPlugin, PatchsetSpec, db
from eportal_core.counting import counted
from eportal_core.errors import ArchiveError
from eportal_core.models import FeedPatchset, Level, Patchset
from eportal_core.operations import feeds, patchsets
from eportal_core.patchsets.pack import pack
from eportal_core.plugins import load
from eportal_core.portal import Portal
from eportal_core.types import Product
from tests.support.commands import PROGRAM, CommandLine
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.patches import DB, KERNEL, SPEC, WEB, archive, patch_dir

OLDEST, OLD, MIDDLE, NEW = "16012017_1", "K04082020_1", "K20250101_01", "K20251119_03"
LEVELS = {OLDEST: 1, OLD: 2, MIDDLE: 3, NEW: 4}
#: One that is not there.
OTHER = "K20260101_01"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four archives for one kernel, a level each; what they were made of lies beside them."""
    folder = tmp_path_factory.mktemp("archives")
    return {name: archive(folder, name, {WEB: level}) for name, level in LEVELS.items()}


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory, archives: dict[str, Path]) -> InProcess:
    """The four are enabled in main; there is a feed test without any.

    Tests share it: each sees that it stays as it is.
    """
    made = InProcess(tmp_path_factory.mktemp("settled") / "var")
    made.ok("kcare", "deploy", *archives.values())
    made.ok("feed", "-a", "test")
    return made


@pytest.fixture
def deployed(settled: InProcess, kc: InProcess) -> InProcess:
    """The same as ``settled``, to be changed."""
    shutil.copytree(settled.data_dir, kc.data_dir)
    return kc


def said(printed: str) -> list[str]:
    """The messages of log lines."""
    return [line.split(" - eportal.patches - INFO - ")[1] for line in printed.splitlines()]


def states(kc: InProcess, feed: str = "main") -> dict[str, str]:
    """Of each patchset, oldest first."""
    return {row["patchset"]: row["feeds"][feed] for row in kc.json("kcare", "list")}


def published(kc: InProcess) -> list[str]:
    """Every file below arch/ and resources/, and every folder that is empty."""
    found = []
    for top in ("arch", "resources", "staging"):
        for path in sorted((kc.data_dir / top).rglob("*")):
            if path.is_file() or not any(path.iterdir()):
                found.append(str(path.relative_to(kc.data_dir)))
    return [path for path in found if path != "staging/lock"]


# Deploying


def test_deploy_publishes_what_the_archive_holds(kc: InProcess, archives: dict[str, Path]) -> None:
    printed = kc.ok("kcare", "deploy", archives[NEW])
    assert said(printed) == [f"{NEW} was enabled in main"]
    assert published(kc) == [
        f"arch/{NEW}.meta.json",
        f"arch/{NEW}.tar.bz2",
        f"resources/{WEB}/4/kpatch.bin",
        f"resources/{WEB}/4/kpatch.info",
    ]
    source = archives[NEW].with_name(f"{NEW}-content") / WEB / "4"
    target = kc.data_dir / "resources" / WEB / "4"
    for name in ("kpatch.bin", "kpatch.info"):
        assert (target / name).read_bytes() == (source / name).read_bytes()
    kept = kc.data_dir / "arch" / f"{NEW}.tar.bz2"
    assert kept.read_bytes() == archives[NEW].read_bytes()


def test_deploy_to_a_feed_leaves_the_others_alone(kc: InProcess, archives: dict[str, Path]) -> None:
    kc.ok("feed", "-a", "test")
    printed = kc.ok("kcare", "deploy", "--feed", "test", archives[NEW])
    assert said(printed) == [f"{NEW} was enabled in test"]
    assert states(kc, "test") == {NEW: "enabled"}
    assert states(kc, "main") == {NEW: "undeployed"}


def test_deploy_disabled(kc: InProcess, archives: dict[str, Path]) -> None:
    printed = kc.ok("kcare", "deploy", "--disabled", archives[NEW])
    assert said(printed) == [f"{NEW} was disabled in main"]
    assert states(kc) == {NEW: "disabled"}


def test_deploying_twice_is_harmless(kc: InProcess, archives: dict[str, Path]) -> None:
    kc.ok("kcare", "deploy", archives[NEW])
    before = kc.world()
    printed = kc.ok("kcare", "deploy", archives[NEW])
    assert said(printed) == [f"{NEW} is already enabled in main"]
    assert kc.world() == before


def test_deploying_again_changes_the_state_as_asked(
    kc: InProcess, archives: dict[str, Path]
) -> None:
    kc.ok("feed", "-a", "test")
    kc.ok("kcare", "deploy", archives[NEW])
    appeared = kc.json("kcare", "list")[0]["appeared"]
    kc.ok("kcare", "deploy", "--disabled", archives[NEW])
    kc.ok("kcare", "deploy", "--feed", "test", archives[NEW])
    assert (states(kc)[NEW], states(kc, "test")[NEW]) == ("disabled", "enabled")
    assert kc.json("kcare", "list")[0]["appeared"] == appeared


def test_deploying_an_unrolled_patchset_brings_it_back(
    deployed: InProcess, archives: dict[str, Path]
) -> None:
    deployed.ok("kcare", "unroll", NEW)
    printed = deployed.ok("kcare", "deploy", archives[NEW])
    assert said(printed) == [f"{NEW} was enabled in main"]


def test_several_archives_at_once(kc: InProcess, archives: dict[str, Path]) -> None:
    printed = kc.ok("kcare", "deploy", *archives.values())
    assert said(printed) == [f"{name} was enabled in main" for name in archives]
    assert set(states(kc).values()) == {"enabled"}


def test_of_several_archives_those_before_a_bad_one_stay(
    kc: InProcess, archives: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / archives[MIDDLE].name
    bad.write_bytes(archives[MIDDLE].read_bytes()[:-20])
    done = kc("kcare", "deploy", archives[OLDEST], archives[OLD], bad, archives[NEW])
    assert done.code == 1
    assert f"{MIDDLE}.tar.bz2 is refused: " in done.said
    assert said(done.out) == [f"{name} was enabled in main" for name in (OLDEST, OLD)]
    assert list(states(kc)) == [OLDEST, OLD]
    assert not [path for path in published(kc) if MIDDLE in path or path.startswith("staging")]


def test_another_archive_of_the_same_name_is_refused(
    kc: InProcess, archives: dict[str, Path], tmp_path: Path
) -> None:
    kc.ok("kcare", "deploy", archives[NEW])
    other = archive(tmp_path, NEW, {DB: 4})
    sentence = kc.refused("kcare", "deploy", other, code=1)
    assert sentence == (
        f"{NEW} is deployed already from another archive; what was published under a name does "
        f"not change."
    )
    # Neither is the same content in another wrapping.
    again = tmp_path / f"{NEW}.tar.gz"
    pack(archives[NEW].with_name(f"{NEW}-content"), again, SPEC)
    assert kc.refused("kcare", "deploy", again, code=1) == sentence


def test_a_level_with_other_bytes_is_refused(kc: InProcess, tmp_path: Path) -> None:
    kc.ok("kcare", "deploy", archive(tmp_path, OLD, {WEB: 1}))
    bad = archive(tmp_path, NEW, {DB: 1, WEB: 1}, size=2000)
    assert kc.refused("kcare", "deploy", bad, code=1) == (
        f"Level 1 of {WEB} is published already with other bytes, by {OLD}."
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["deploy"], 2, "Missing argument"),
        (["deploy", "none.tar.bz2"], 1, "'none' is not a name of a KernelCare patchset."),
        (["deploy", "U20250101_01.tar.bz2"], 1, "'U20250101_01' is not a name"),
        (["deploy", f"{OLD}.zip"], 1, f"{OLD}.zip is not named like a patchset archive"),
        (["deploy", f"{OTHER}.tar.bz2"], 1, "There is no file"),
        (["deploy", "."], 1, "is not named like a patchset archive"),
        (["deploy", "--feed", "none", f"{OTHER}.tar.bz2"], 1, "There is no feed none: "),
        (["enable", OTHER], 1, f"There is no KernelCare patchset {OTHER}."),
        (["disable", OTHER], 1, f"There is no KernelCare patchset {OTHER}."),
        (["enable-up-to", OTHER], 1, f"There is no KernelCare patchset {OTHER}."),
        (["undeploy-down-to", OTHER], 1, f"There is no KernelCare patchset {OTHER}."),
        (["unroll", OTHER], 1, f"There is no KernelCare patchset {OTHER}."),
        (["unroll", "--delete", OTHER], 1, f"There is no KernelCare patchset {OTHER}."),
        (["verify", OTHER], 1, f"There is no KernelCare patchset {OTHER}."),
        (["enable", "a\nb"], 1, r"There is no KernelCare patchset 'a\nb'."),
        (["enable", "\udcff"], 1, r"There is no KernelCare patchset '\udcff'."),
        (["unroll", "a\0b"], 1, r"There is no KernelCare patchset 'a\x00b'."),
        (["unroll", "../../etc"], 1, "There is no KernelCare patchset ../../etc."),
        (["unroll", ""], 1, "There is no KernelCare patchset ''."),
        (["disable", "x" * 10_000], 1, "x...'."),
        (["enable", OLD, "--feed", "none"], 1, "There is no feed none: "),
        (["enable-up-to", OLD, "--feed", "none"], 1, "There is no feed none: "),
        (["disable", OLD, "--feed", "none"], 1, "There is no feed none: "),
        (["undeploy-down-to", OLD, "--feed", "none"], 1, "There is no feed none: "),
        (["enable", OLD, "--feed", ""], 1, "There is no feed '': "),
        (["list", "--feed", "none"], 1, "There is no feed none: "),
        (["list", "--feed", "none", "--json"], 1, "There is no feed none: "),
        (["enable"], 2, "Missing argument"),
        (["enable", OLD, NEW], 2, "unexpected extra argument"),
        ([], 2, "Missing command"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_refusals(settled: InProcess, arguments: list[str], code: int, sentence: str) -> None:
    assert sentence in settled.refused("kcare", *arguments, code=code)


def test_a_name_belongs_to_one_product(
    data_dir: Path, archives: dict[str, Path], tmp_path: Path
) -> None:
    """All of them share arch/: the other's archive and manifest would be replaced."""
    product = Product(name="other", command="other", title="Other", default=False)
    spec = PatchsetSpec(product, r"[KO]\d{8}_\d+", tree="other-resources")
    plugins = load()
    plugins.manager.register(PatchsetPlugin(spec), "other")
    portal = opened(data_dir, plugins)
    theirs = tmp_path / f"{NEW}.tar.bz2"
    pack(archives[NEW].with_name(f"{NEW}-content"), theirs, spec)
    with db.connection():
        patchsets.deploy(portal, KERNEL, archives[NEW])
        with pytest.raises(ArchiveError, match=f"{NEW} is a patchset of the product kernel"):
            patchsets.deploy(portal, product, theirs)
    kept = data_dir / "arch" / theirs.name
    assert kept.read_bytes() == archives[NEW].read_bytes()
    db.close()


# The old forms


def test_old_form_of_deploy_and_unroll(kc: InProcess, archives: dict[str, Path]) -> None:
    printed = kc.ok("--deploy", archives[OLDEST])
    assert said(printed) == [f"{OLDEST} was enabled in main"]
    printed = kc.ok("--unroll", OLDEST)
    assert said(printed) == [f"{OLDEST} was undeployed from main"]
    assert states(kc) == {OLDEST: "undeployed"}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--deploy", "none.tar.bz2"], 1, "'none' is not a name of a KernelCare patchset."),
        (["--deploy", ""], 1, "is not named like a patchset archive"),
        (["--unroll", "16012017_2"], 1, "There is no KernelCare patchset 16012017_2."),
        (["--unroll", ""], 1, "There is no KernelCare patchset ''."),
        (["--unroll"], 2, "requires an argument"),
        (["--list-servers", "feed"], 2, "an old option stands alone"),
    ],
)
def test_old_forms_refuse(
    settled: InProcess, arguments: list[str], code: int, sentence: str
) -> None:
    assert sentence in settled.refused(*arguments, code=code)


# States


def test_enable_and_disable_touch_one_patchset_in_one_feed(deployed: InProcess) -> None:
    printed = deployed.ok("kcare", "disable", MIDDLE)
    assert said(printed) == [f"{MIDDLE} was disabled in main"]
    printed = deployed.ok("kcare", "enable", OLD, "--feed", "test")
    assert said(printed) == [f"{OLD} was enabled in test"]
    assert states(deployed) == dict.fromkeys(LEVELS, "enabled") | {MIDDLE: "disabled"}
    assert states(deployed, "test") == dict.fromkeys(LEVELS, "undeployed") | {OLD: "enabled"}

    before = deployed.world()
    printed = deployed.ok("kcare", "disable", MIDDLE)
    assert said(printed) == [f"{MIDDLE} is already disabled in main"]
    assert deployed.world() == before


def test_enable_up_to_skips_disabled_ones_and_newer_ones(deployed: InProcess) -> None:
    deployed.ok("kcare", "disable", OLD, "--feed", "test")
    deployed.ok("kcare", "enable", OLDEST, "--feed", "test")
    printed = deployed.ok("kcare", "enable-up-to", MIDDLE, "--feed", "test")
    assert said(printed) == [
        f"{OLDEST} is already enabled in test",
        f"{MIDDLE} was enabled in test",
    ]
    assert states(deployed, "test") == {
        OLDEST: "enabled",
        OLD: "disabled",
        MIDDLE: "enabled",
        NEW: "undeployed",
    }
    assert set(states(deployed).values()) == {"enabled"}


@pytest.mark.parametrize("command", ["enable-up-to", "undeploy-down-to"])
def test_many_at_once_say_that_the_named_one_is_disabled(deployed: InProcess, command: str) -> None:
    deployed.ok("kcare", "disable", OLD)
    printed = said(deployed.ok("kcare", command, OLD))
    assert printed[-1] == f"{OLD} is disabled in main and was skipped"
    assert states(deployed)[OLD] == "disabled"


def test_undeploy_down_to_one_that_is_not_deployed_says_so(deployed: InProcess) -> None:
    printed = said(deployed.ok("kcare", "undeploy-down-to", OLD, "--feed", "test"))
    assert printed == [f"{OLD} is already undeployed from test"]


def test_a_disabled_patchset_can_still_be_enabled_by_name(deployed: InProcess) -> None:
    deployed.ok("kcare", "disable", OLD)
    printed = deployed.ok("kcare", "enable", OLD)
    assert said(printed) == [f"{OLD} was enabled in main"]


def test_undeploy_down_to_takes_out_what_is_newer(deployed: InProcess) -> None:
    deployed.ok("kcare", "enable-up-to", NEW, "--feed", "test")
    deployed.ok("kcare", "disable", MIDDLE)
    printed = deployed.ok("kcare", "undeploy-down-to", OLD)
    assert said(printed) == [f"{NEW} was undeployed from main", f"{OLD} was undeployed from main"]
    assert states(deployed) == {
        OLDEST: "enabled",
        OLD: "undeployed",
        MIDDLE: "disabled",
        NEW: "undeployed",
    }
    assert set(states(deployed, "test").values()) == {"enabled"}


# Unrolling


def test_unroll_takes_a_patchset_out_of_every_feed_and_keeps_its_files(
    deployed: InProcess,
) -> None:
    deployed.ok("kcare", "enable", NEW, "--feed", "test")
    before = published(deployed)
    printed = deployed.ok("kcare", "unroll", NEW)
    assert sorted(said(printed)) == [f"{NEW} was undeployed from {f}" for f in ("main", "test")]
    assert states(deployed)[NEW] == states(deployed, "test")[NEW] == "undeployed"
    assert published(deployed) == before
    assert said(deployed.ok("kcare", "unroll", NEW)) == [f"{NEW} is in no feed"]


def test_unroll_and_delete_leaves_nothing(deployed: InProcess, portal: Portal) -> None:
    for name in LEVELS:
        printed = deployed.ok("kcare", "unroll", name, "--delete")
        assert said(printed) == [f"{name} was undeployed from main", f"{name} was deleted"]
        assert not [path for path in published(deployed) if name in path]
    assert deployed.json("kcare", "list") == []
    assert [path.name for path in (deployed.data_dir / "arch").iterdir()] == []
    assert not (deployed.data_dir / "resources").exists()
    for table in (Patchset, Level, FeedPatchset):
        assert table.select().count() == 0


def test_a_deleted_patchset_can_be_deployed_again(
    deployed: InProcess, archives: dict[str, Path]
) -> None:
    before = published(deployed)
    deployed.ok("kcare", "unroll", NEW, "--delete")
    deployed.ok("kcare", "deploy", archives[NEW])
    assert published(deployed) == before
    assert states(deployed)[NEW] == "enabled"


def test_a_level_that_two_patchsets_share_stays_for_the_other(
    portal: Portal, kc: InProcess, tmp_path: Path
) -> None:
    kc.ok("kcare", "deploy", archive(tmp_path, OLD, {WEB: 1, DB: 1}))
    kc.ok("kcare", "deploy", archive(tmp_path, NEW, {WEB: 2, DB: 1}))
    shared = [f"resources/{DB}/1/{name}" for name in ("kpatch.bin", "kpatch.info")]

    kc.ok("kcare", "unroll", OLD, "--delete")
    assert set(shared) < set(published(kc))
    assert not [path for path in published(kc) if path.startswith(f"resources/{WEB}/1/")]
    assert kc.ok("kcare", "verify") == "1 patchset was verified, 0 faults were found\n"

    kc.ok("kcare", "unroll", NEW, "--delete")
    assert published(kc) == []
    assert Level.select().count() == 0


# Listing


def test_list_as_a_table(deployed: InProcess) -> None:
    deployed.ok("kcare", "disable", OLD)
    lines = deployed.ok("kcare", "list").splitlines()
    assert lines[0].split(" | ") == ["Patchset    ", "Appeared           ", "main    ", "test"]
    assert [[cell.strip() for cell in line.split("|")][::2] for line in lines[2:]] == [
        [OLDEST, "enabled"],
        [OLD, "disabled"],
        [MIDDLE, "enabled"],
        [NEW, "enabled"],
    ]
    assert lines[0].startswith("Patchset")
    only = deployed.ok("kcare", "list", "--feed", "test").splitlines()
    assert only[0].split("|")[2:] == [" test"]
    assert {line.split()[-1] for line in only[2:]} == {"undeployed"}


def test_list_as_json_has_the_documented_fields(kc: InProcess, tmp_path: Path) -> None:
    kc.ok("feed", "-a", "test")
    content = patch_dir(tmp_path / "content", {WEB: 4})
    made = tmp_path / f"{NEW}.tar.zst"
    options = ("--distro", "debian12", "--distro", "pve", "--channel", "test")
    kc.ok("kcare", "pack", content, "-o", made, *options, "--released", "2025-11-19")
    kc.ok("kcare", "deploy", "--feed", "test", "--disabled", made)
    (row,) = kc.json("kcare", "list")
    assert (row["patchset"], row["status"]) == (NEW, "undeployed")
    assert row["distros"] == ["debian12", "pve"]
    assert row["feeds"] == {"main": "undeployed", "test": "disabled"}
    assert (row["released"], row["channels"]) == ("2025-11-19", ["test"])
    assert len(row["appeared"]) == len("2025-11-19 00:00:00.000000")
    sizes = [path.stat().st_size for path in content.rglob("kpatch.*")]
    assert row["size"] == sum(sizes)

    (only,) = kc.json("kcare", "list", "--feed", "test")
    assert only == {**row, "status": "disabled", "feeds": {"test": "disabled"}}


def test_without_patchsets_the_lists_are_empty(kc: InProcess) -> None:
    assert kc.json("kcare", "list") == []
    assert len(kc.ok("kcare", "list").splitlines()) == 2


# Order


def test_patchsets_are_ordered_by_date_and_number_not_by_text() -> None:
    in_order = [
        "16012017_1",
        "K04082020_1",
        "K04082020_2",
        "K04082020_10",
        "K05082020_1",
        "K01012021_1",
        "K20210102_01",
        "K20251119_03",
        "K20251119_20",
        "K20251119_100",
        "K20251120_01",
    ]
    by_text = sorted(in_order)
    assert by_text != in_order
    assert sorted(by_text, key=SPEC.order) == in_order


def test_names_without_a_date_are_ordered_with_numbers_as_numbers() -> None:
    in_order = ["SW-2026.2-1", "SW-2026.11-3", "SW-2026.11-10", f"SW-2026.11-{10**12}", "SX-1"]
    assert in_order != sorted(in_order)
    assert sorted(sorted(in_order), key=SPEC.order) == in_order
    assert SPEC.order("SW-9") != SPEC.order("SW-09")


def test_the_documented_pipeline_deploys_a_folder(cli: CommandLine, tmp_path: Path) -> None:
    """``ls /tmp/K*.tar.bz2 | sort -h | xargs -n1 kc.eportal kcare deploy``, by a real shell."""
    folder = tmp_path / "upload"
    folder.mkdir()
    in_order = [
        *(f"K0{day}082020_1" for day in (4, 5)),
        *(f"K31122020_{number}" for number in (2, 10)),
        *(f"K2025{month:02}01_{number:02}" for month in (2, 10, 11, 12) for number in (1, 3)),
    ]
    assert len(in_order) == 12
    for level, name in enumerate(in_order, 1):
        archive(folder, name, {WEB: level})
    pipeline = f"ls {folder}/K*.tar.bz2 | sort -h | xargs -n1 kc.eportal kcare deploy"
    path = f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {pipeline}"],
        env={**cli.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(said(done.stdout)) == sorted(f"{name} was enabled in main" for name in in_order)
    listed = cli.json("kcare", "list")
    assert [(row["patchset"], row["status"]) for row in listed] == [
        (name, "enabled") for name in in_order
    ]


# Verifying

Damage = Callable[[InProcess], None]


def _bin(kc: InProcess) -> Path:
    return kc.data_dir / "resources" / WEB / "4" / "kpatch.bin"


def _arch(kc: InProcess, suffix: str) -> Path:
    return kc.data_dir / "arch" / f"{NEW}{suffix}"


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _replace_by_folder(kc: InProcess) -> None:
    _bin(kc).unlink()
    _bin(kc).mkdir()


def _replace_by_link(kc: InProcess) -> None:
    """To a copy with the very same bytes, outside: who knows for how long."""
    elsewhere = kc.data_dir / "kpatch.bin"
    shutil.move(_bin(kc), elsewhere)
    _bin(kc).symlink_to(elsewhere)


def _dangling_link(kc: InProcess) -> None:
    _bin(kc).unlink()
    _bin(kc).symlink_to("nowhere")


def _edit_manifest(kc: InProcess, edit: Callable[[dict[str, object]], object]) -> None:
    path = _arch(kc, ".meta.json")
    manifest = json.loads(path.read_text())
    edit(manifest["targets"])
    path.write_text(json.dumps(manifest))


def _other_patch_with_its_hash(kc: InProcess) -> None:
    _bin(kc).write_bytes(b"evil")
    file = {"sha256": hashlib.sha256(b"evil").hexdigest(), "size": 4}
    _edit_manifest(kc, lambda targets: targets[WEB]["files"].update({"kpatch.bin": file}))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "bit flipped": (lambda kc: _flip_a_bit(_bin(kc)), "kpatch.bin has changed since"),
    "truncated": (lambda kc: os.truncate(_bin(kc), 10), "kpatch.bin has changed since"),
    "file missing": (lambda kc: _bin(kc).unlink(), "kpatch.bin is missing"),
    "file too many": (
        lambda kc: _bin(kc).with_name("kcare.ko").touch(),
        "kcare.ko does not belong there",
    ),
    "folder too many": (
        lambda kc: _bin(kc).with_name("more").mkdir(),
        "more does not belong there",
    ),
    "level missing": (lambda kc: shutil.rmtree(_bin(kc).parent), "kpatch.bin is missing"),
    "folder for a file": (_replace_by_folder, "kpatch.bin is no regular file"),
    "link for a file": (_replace_by_link, "kpatch.bin is no regular file"),
    "dangling link": (_dangling_link, "kpatch.bin is no regular file"),
    "archive changed": (lambda kc: _flip_a_bit(_arch(kc, ".tar.bz2")), ".tar.bz2 has changed"),
    "archive missing": (lambda kc: _arch(kc, ".tar.bz2").unlink(), ".tar.bz2 is missing"),
    "manifest missing": (
        lambda kc: _arch(kc, ".meta.json").unlink(),
        f"the manifest of {NEW} cannot be used",
    ),
    "manifest garbled": (
        lambda kc: _arch(kc, ".meta.json").write_bytes(b"\xff{"),
        f"the manifest of {NEW} cannot be used",
    ),
    "manifest with another level": (
        lambda kc: _edit_manifest(kc, lambda targets: targets[WEB].update(level=9)),
        f"the manifest of {NEW} was changed for {WEB}",
    ),
    "manifest with another target": (
        lambda kc: _edit_manifest(kc, lambda targets: targets.update({DB: targets[WEB]})),
        f"the manifest of {NEW} was changed for {DB}",
    ),
    "manifest without a target": (
        lambda kc: _edit_manifest(kc, lambda targets: targets.clear()),
        f"the manifest of {NEW} was changed for {WEB}",
    ),
    "patch and manifest changed": (
        _other_patch_with_its_hash,
        f"the manifest of {NEW} was changed for {WEB}",
    ),
}


def test_verify_finds_nothing_where_nothing_is_wrong(deployed: InProcess) -> None:
    before = deployed.world()
    assert deployed.ok("kcare", "verify") == "4 patchsets were verified, 0 faults were found\n"
    printed = deployed.ok("kcare", "verify", OLD, NEW)
    assert printed == "2 patchsets were verified, 0 faults were found\n"
    assert deployed.world() == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_finds_damage(deployed: InProcess, damage: str) -> None:
    do, fault = DAMAGES[damage]
    do(deployed)
    done = deployed("kcare", "verify")
    assert done.code == 1
    faults = done.err.splitlines()
    assert all(line.startswith(f"{NEW}: ") for line in faults)
    assert fault in faults[0]
    assert done.out == (
        f"4 patchsets were verified, {counted(len(faults), 'fault was', 'faults were')} found\n"
    )
    # The others are as they were.
    assert deployed("kcare", "verify", OLDEST, OLD, MIDDLE).code == 0
    assert deployed("kcare", "verify", NEW).code == 1


def test_verify_goes_on_after_a_file_that_the_disk_does_not_give(
    deployed: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hashlib.file_digest

    def failing(file: BinaryIO, name: str) -> Any:
        if file.name == str(_bin(deployed)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(file, name)

    _flip_a_bit(_arch(deployed, ".tar.bz2"))
    monkeypatch.setattr("eportal_core.patchsets.store.hashlib.file_digest", failing)
    done = deployed("kcare", "verify")
    assert done.code == 1
    assert done.out == "4 patchsets were verified, 2 faults were found\n"
    assert done.err.splitlines()[1].endswith("kpatch.bin cannot be read: Input/output error")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_mended_by_deploying_again(
    deployed: InProcess, archives: dict[str, Path], damage: str
) -> None:
    DAMAGES[damage][0](deployed)
    deployed.ok("kcare", "deploy", archives[NEW])
    assert deployed("kcare", "verify").code == 0


# Cleaning


def obsolete() -> list[str]:
    """What ``--clean-releases`` would delete."""
    return [patchset.name for patchset in patchsets.obsolete(KERNEL)]


class Shelf:
    """Deploys patchsets to feeds in one line."""

    def __init__(self, portal: Portal, folder: Path) -> None:
        self.portal = portal
        self._folder = folder
        feeds.add(portal, "test")

    def put(self, name: str, levels: dict[str, int], *enabled_in: str) -> None:
        made = archive(self._folder, name, levels)
        patchsets.deploy(self.portal, KERNEL, made)
        patchsets.unroll(self.portal, KERNEL, name)
        for feed in enabled_in:
            patchsets.enable(self.portal, KERNEL, name, feed)


@pytest.fixture
def shelf(portal: Portal, tmp_path: Path) -> Shelf:
    return Shelf(portal, tmp_path)


def test_obsolete_when_every_target_has_a_newer_level(shelf: Shelf) -> None:
    shelf.put(OLD, {WEB: 1, DB: 1}, "main")
    shelf.put(MIDDLE, {WEB: 2}, "main")
    assert obsolete() == []
    shelf.put(NEW, {DB: 2}, "main")
    assert obsolete() == [OLD]


def test_a_feed_that_stays_behind_keeps_its_patchset(shelf: Shelf) -> None:
    shelf.put(OLD, {WEB: 1}, "main", "test")
    shelf.put(NEW, {WEB: 2}, "main")
    assert obsolete() == []
    patchsets.enable(shelf.portal, KERNEL, NEW, "test")
    assert obsolete() == [OLD]


def test_a_feed_that_does_not_patch_the_target_holds_nothing_back(shelf: Shelf) -> None:
    shelf.put(OLD, {WEB: 1}, "main")
    shelf.put(NEW, {WEB: 2}, "main")
    shelf.put("K20260101_01", {DB: 1}, "test")
    assert obsolete() == [OLD]


@pytest.mark.parametrize("state", ["disabled", "undeployed"])
def test_what_is_not_enabled_makes_nothing_obsolete(shelf: Shelf, state: str) -> None:
    shelf.put(OLD, {WEB: 1}, "main")
    shelf.put(NEW, {WEB: 2})
    if state == "disabled":
        patchsets.disable(shelf.portal, KERNEL, NEW, "main")
    assert obsolete() == []


def test_an_old_patchset_that_no_feed_has_is_obsolete_once_feeds_are_past_it(
    shelf: Shelf,
) -> None:
    shelf.put(OLD, {WEB: 1})
    assert obsolete() == []
    shelf.put(NEW, {WEB: 2}, "main")
    assert obsolete() == [OLD]


def test_a_newer_patchset_that_no_feed_has_yet_is_kept(shelf: Shelf) -> None:
    shelf.put(MIDDLE, {WEB: 2}, "main")
    shelf.put(NEW, {WEB: 3})
    assert obsolete() == []


def test_a_newer_patchset_with_the_same_level_makes_the_older_one_obsolete(shelf: Shelf) -> None:
    shelf.put(OLD, {WEB: 1}, "main")
    shelf.put(NEW, {WEB: 1, DB: 1}, "main")
    assert obsolete() == [OLD]


def test_cleaning_frees_the_disk_and_changes_no_answer(shelf: Shelf, kc: InProcess) -> None:
    shelf.put(OLD, {WEB: 1}, "main", "test")
    shelf.put(MIDDLE, {WEB: 2, DB: 1}, "main", "test")
    shelf.put(NEW, {WEB: 3}, "main", "test")
    assert kc("--clean-releases").code == 0
    # MIDDLE has the newest level for DB.
    assert states(kc) == {MIDDLE: "enabled", NEW: "enabled"}
    levels = {
        path.split("/", 1)[1].rpartition("/")[0] for path in published(kc) if "kpatch" in path
    }
    assert levels == {f"{WEB}/2", f"{WEB}/3", f"{DB}/1"}
    assert kc("kcare", "verify").code == 0


def test_what_a_feed_gets_while_one_cleans_is_kept(
    shelf: Shelf, portal: Portal, kc: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody needs OLD when cleaning begins; then a new feed gets it."""
    shelf.put(OLD, {WEB: 1})
    shelf.put(NEW, {WEB: 2}, "main")
    found = patchsets.obsolete

    def found_then_enabled(product: Product) -> list[Patchset]:
        obsolete = found(product)
        assert [patchset.name for patchset in obsolete] == [OLD]
        patchsets.enable(portal, KERNEL, OLD, "test")
        return obsolete

    monkeypatch.setattr(patchsets, "obsolete", found_then_enabled)
    assert patchsets.clean(portal, KERNEL, dry_run=False) == []
    assert states(kc, "test")[OLD] == "enabled"
    assert kc("kcare", "verify").code == 0
