"""The publisher's side of a patch source, as its readers and its operator meet it."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tuf.api.exceptions import RepositoryError

from eportal_core.agent.app import agent_app
from eportal_core.errors import ArchiveError, Conflict, InvalidValue, NotFound, StorageError
from eportal_core.source import publishing
from eportal_core.source.keys import KeyFolder
from eportal_core.source.status import status
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.sources import (
    SPECS,
    TARGET,
    MadeSource,
    archive,
    make_source,
    seen,
    spoil,
    stranger,
)

FIRST, SECOND, THIRD = "K20260101_01", "K20260102_01", "K20260103_01"
NAMES = {
    "kernel": FIRST,
    "libcare": "U20260101_01",
    "qemu": "U20260101_01-qemu",
    "db": "D20260101_01",
}
ROLES = ("root", "targets", "snapshot", "timestamp", "kernel")


@pytest.fixture
def source(tmp_path: Path) -> MadeSource:
    return make_source(tmp_path / "source")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """What a reader remembers."""
    return tmp_path / "cache"


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def names(found: dict[str, list[Any]]) -> set[str]:
    return {offer.name for offers in found.values() for offer in offers}


def test_a_reader_sees_what_was_published(source: MadeSource, tmp_path: Path, cache: Path) -> None:
    about: dict[str, Any] = {"released": "2026-01-01", "channels": ["test"], "distros": ["pve"]}
    path = archive(tmp_path, "kernel", FIRST, {TARGET: 7}, **about)
    source.add(path, state="disabled", publish=False)
    assert names(seen(source, cache)) == set()
    source.publish()
    (offer,) = seen(source, cache)["kernel"]
    assert (offer.released, offer.channels, offer.distros) == ("2026-01-01", ("test",), ("pve",))
    assert (offer.state, offer.archive_name) == ("disabled", path.name)
    assert source.stored("kernel", FIRST).read_bytes() == path.read_bytes()
    files = source.folder / "targets/kernel/files" / TARGET / "7"
    assert {each.name for each in files.iterdir()} >= {"kpatch.bin", "kpatch.info"}


def test_all_products_in_one_command(source: MadeSource, tmp_path: Path, cache: Path) -> None:
    source.add(*(archive(tmp_path, product, name) for product, name in NAMES.items()))
    found = seen(source, cache)
    assert {product: each.name for product, (each,) in found.items()} == NAMES


def test_one_bad_archive_and_nothing_is_added(source: MadeSource, tmp_path: Path) -> None:
    good, bad = (archive(tmp_path, "kernel", name, {TARGET: 1}) for name in (FIRST, SECOND))
    spoil(bad, 40)
    before = tree(source.folder)
    with pytest.raises(ArchiveError, match=SECOND):
        source.add(good, bad)
    assert tree(source.folder) == before


def test_what_was_published_under_a_name_does_not_change(
    source: MadeSource, tmp_path: Path, cache: Path
) -> None:
    source.offer("kernel", FIRST, {TARGET: 1})
    other = archive(tmp_path, "kernel", FIRST, {TARGET: 2})
    with pytest.raises(ArchiveError, match="already from another archive"):
        source.add(other)
    source.remove(FIRST)
    assert names(seen(source, cache)) == set()
    assert source.stored("kernel", FIRST).exists()
    with pytest.raises(ArchiveError, match="already from another archive"):
        source.add(other)


def test_what_nobody_has_seen_may_be_replaced(
    source: MadeSource, tmp_path: Path, cache: Path
) -> None:
    source.offer("kernel", SECOND, {TARGET: 1})
    shared = archive(tmp_path, "kernel", FIRST, {TARGET: 1, "a" * 40: 2})
    source.add(shared, publish=False)
    with source.opened() as publisher:
        publisher.remove([FIRST])
    files = source.folder / "targets/kernel/files"
    assert not (files / ("a" * 40) / "2").exists()
    # That level is another patchset's too.
    assert (files / TARGET / "1/kpatch.bin").exists()
    shared.unlink()
    source.add(archive(tmp_path, "kernel", FIRST, {TARGET: 3}))
    assert names(seen(source, cache)) == {FIRST, SECOND}


@pytest.mark.parametrize("together", [True, False])
def test_a_level_does_not_change_its_bytes(
    source: MadeSource, tmp_path: Path, together: bool
) -> None:
    one = archive(tmp_path, "kernel", FIRST, {TARGET: 1})
    other = archive(tmp_path, "kernel", SECOND, {TARGET: 1}, size=100)
    if not together:
        source.add(one)
    with pytest.raises(ArchiveError, match=f"Level 1 of {TARGET} .* {SECOND} cannot be added"):
        source.add(one, other)


def test_adding_again_puts_files_in_order_and_changes_no_state(
    source: MadeSource, tmp_path: Path, cache: Path
) -> None:
    path = archive(tmp_path, "kernel", FIRST, {TARGET: 1})
    source.add(path)
    source.set_state("blocked", FIRST)
    file = source.folder / "targets/kernel/files" / TARGET / "1/kpatch.bin"
    good = file.read_bytes()
    spoil(file)
    spoil(source.stored("kernel", FIRST))
    source.add(path)
    assert file.read_bytes() == good
    assert source.stored("kernel", FIRST).read_bytes() == path.read_bytes()
    assert seen(source, cache)["kernel"][0].state == "blocked"


def test_nobody_but_the_owner_reads_the_keys(source: MadeSource) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in source.keys.glob("*.pem")}
    assert (modes, stat.S_IMODE(source.keys.stat().st_mode)) == ({0o600}, 0o700)
    key = next(source.keys.glob("timestamp-*.pem"))
    for path, mode in ((key, 0o640), (source.keys, 0o750)):
        before = path.stat().st_mode
        path.chmod(mode)
        with pytest.raises(InvalidValue, match=f"{path} can be read by others"):
            source.publish()
        path.chmod(before)
    source.publish()


def test_readers_may_read_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        source = make_source(tmp_path / "source")
        source.offer("kernel", FIRST)
    finally:
        os.umask(before)
    for path in source.folder.rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, path


def test_the_daily_publish_needs_two_keys(source: MadeSource, tmp_path: Path, cache: Path) -> None:
    source.offer("kernel", FIRST)
    for role in ("root", "targets", *SPECS):
        for path in source.keys.glob(f"{role}-*.pem"):
            path.unlink()
    source.publish()
    assert names(seen(source, cache)) == {FIRST}
    before = tree(source.folder)
    with pytest.raises(NotFound, match="kernel is signed with 1 of its keys"):
        source.add(archive(tmp_path, "kernel", SECOND, {TARGET: 2}))
    with pytest.raises(NotFound, match="root is signed with 1"):
        source.rotate("timestamp")
    assert tree(source.folder) == before


@pytest.mark.parametrize("role", ROLES)
def test_a_rotated_key_counts_no_more(source: MadeSource, cache: Path, role: str) -> None:
    source.offer("kernel", FIRST)
    seen(source, cache)
    (file,) = source.keys.glob(f"{role}-*.pem")
    old = KeyFolder(source.keys).signers(role, _Any())
    source.rotate(role)
    assert len(list(source.keys.glob(f"{role}-*.pem"))) == 2
    file.unlink()
    # Who knew the source, and who comes new.
    assert names(seen(source, cache)) == names(seen(source, cache / "new")) == {FIRST}
    source.set_state("blocked", FIRST)
    assert seen(source, cache)["kernel"][0].state == "blocked"
    if role != "root":
        source.forge(role, signers=old)
        with pytest.raises(RepositoryError):
            seen(source, cache)


class _Any:
    """Any key at all."""

    def __contains__(self, keyid: object) -> bool:
        return True


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "kernel"])
def test_a_lost_key_is_replaced(source: MadeSource, cache: Path, role: str) -> None:
    source.offer("kernel", FIRST)
    for path in source.keys.glob(f"{role}-*.pem"):
        path.unlink()
    source.rotate(role)
    assert names(seen(source, cache)) == {FIRST}


def test_keys_are_not_rotated_while_changes_wait(source: MadeSource, tmp_path: Path) -> None:
    source.add(archive(tmp_path, "kernel", FIRST), publish=False)
    with pytest.raises(Conflict, match="Changes of kernel wait"):
        source.rotate("timestamp")


def test_thresholds(kc: InProcess, tmp_path: Path, cache: Path) -> None:
    source = MadeSource(tmp_path / "source")
    kc.ok("source", "init", "--threshold", "kernel=2", "--threshold", "root=3", source.folder)
    assert len(list(source.keys.glob("kernel-*.pem"))) == 2
    source.offer("kernel", FIRST)
    source.rotate("root")
    assert names(seen(source, cache)) == {FIRST}
    next(source.keys.glob("kernel-*.pem")).unlink()
    with pytest.raises(NotFound, match=r"kernel is signed with 2 of its keys, but .* has 1"):
        source.set_state("blocked", FIRST)


def test_signatures_are_renewed_in_time(source: MadeSource, cache: Path) -> None:
    source.offer("kernel", FIRST)
    source.forge("kernel", expires=timedelta(hours=5))
    source.forge("root", expires=timedelta(days=40))
    source.forge("timestamp", expires=timedelta(hours=-1))
    with pytest.raises(RepositoryError):
        seen(source, cache)
    warnings = {row["role"]: row["warning"] for row in status(source.folder) if row["warning"]}
    assert warnings.keys() == {"kernel", "root", "timestamp"}
    assert warnings["kernel"] == "expires in 5 hours"
    assert warnings["timestamp"] == "expired"
    source.publish()
    assert not any(row["warning"] for row in status(source.folder))
    assert names(seen(source, cache)) == {FIRST}


def test_nothing_new_is_one_small_file(source: MadeSource) -> None:
    source.offer("kernel", FIRST)
    before = tree(source.folder)
    source.publish()
    after = tree(source.folder)
    assert {path for path in after if after[path] != before.get(path)} == {
        "metadata/timestamp.json"
    }


def test_old_lists_go_and_roots_stay(source: MadeSource, cache: Path) -> None:
    source.rotate("root")
    source.offer("kernel", FIRST)
    for number in range(2 * publishing.KEPT_VERSIONS):
        source.set_state(("blocked", "available")[number % 2], FIRST)
    lists = list((source.folder / "metadata").glob("*.kernel.json"))
    assert len(lists) == publishing.KEPT_VERSIONS
    assert names(seen(source, cache)) == {FIRST}


@pytest.mark.parametrize("role", [*ROLES, "2.root"])
def test_nobody_has_the_publisher_sign_his_changes(source: MadeSource, role: str) -> None:
    """What somebody else put into the folder is not taken over, but refused."""
    source.offer("kernel", FIRST)
    if role == "2.root":
        # A root in which everything is right but whose it is.
        shutil.move(make_source(source.folder.with_name("evil")).folder, source.folder / "evil")
        shutil.rmtree(source.folder / "metadata")
        shutil.move(source.folder / "evil" / "metadata", source.folder / "metadata")
    else:
        source.forge(role, signers=[stranger()])
    before = tree(source.folder / "metadata")
    with pytest.raises(StorageError, match="is not signed with the keys of the source"):
        source.publish()
    assert tree(source.folder / "metadata") == before


def test_a_further_product(kc: InProcess, tmp_path: Path, cache: Path) -> None:
    source = make_source(tmp_path / "source", ["kernel"])
    said = kc("source", "add", source.folder, archive(tmp_path, "db", "D20260101_01")).said
    assert "The source has no product db" in said
    kc.ok("source", "init", "--product", "db", source.folder)
    assert seen(source, cache).keys() == {"kernel"}
    kc.ok("source", "add", source.folder, tmp_path / "D20260101_01.tar.bz2")
    kc.ok("source", "publish", source.folder)
    assert names(seen(source, cache)) == {"D20260101_01"}


def test_by_hand(kc: InProcess, tmp_path: Path, cache: Path) -> None:
    source = MadeSource(tmp_path / "source")
    assert "Fingerprint: " in kc.ok("source", "init", "--expires", "timestamp=2", source.folder)
    paths = [archive(tmp_path, "kernel", name, {TARGET: 1}) for name in (FIRST, SECOND)]
    out = kc.ok("source", "add", source.folder, *paths)
    assert out == (
        f"2 patchsets were added; to make it visible: kc.eportal source publish {source.folder}\n"
    )
    kc.ok("source", "publish", source.folder)
    kc.ok("source", "block", source.folder, FIRST)
    kc.ok("source", "remove", source.folder, SECOND)
    kc.ok("source", "publish", "--expires", "kernel=30", source.folder)
    assert [(o.name, o.state) for o in seen(source, cache)["kernel"]] == [(FIRST, "blocked")]
    kc.ok("source", "unblock", "--disabled", source.folder, FIRST)
    told = kc.json("source", "status", source.folder)
    assert told["fingerprint"] == source.fingerprint
    (row,) = (row for row in told["roles"] if row["role"] == "kernel")
    assert (row["available"], row["disabled"], row["blocked"]) == (0, 1, 0)
    assert row["published"] is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["init", "{s}"], "is a source already"),
        (["init", "{t}/full"], "is not empty: a source is made in a folder of its own"),
        (["init", "{t}/new", "--keys", "{t}/new/keys"], "is inside the source"),
        (["init", "{t}/new", "--keys", "{t}/full"], "is not empty: name another folder"),
        (["init", "{t}/new", "--threshold", "kernel=0"], "can have 1 to 16 keys"),
        (["init", "{t}/new", "--threshold", "mirror=1"], "There is no role mirror"),
        (["init", "{t}/new", "--expires", "root"], "is not a role and a number"),
        (["init", "{t}/new", "--expires", "root=0"], "is signed for 1 to 3650 days"),
        (["init", "{t}/new", "--product", "mail"], "There is no product mail"),
        (["init", "{s}", "--product", "db"], "has the product db already"),
        (["publish", "{t}/full"], "is not a source"),
        (["status", "{t}/none"], "is not a source"),
        (["publish", "{s}", "--keys", "{t}/none"], "There is no folder"),
        (["publish", "{s}", "--expires", "mirror=1"], "There is no role mirror"),
        (["publish", "{s}", "--expires", "kernel=99999"], "is signed for 1 to 3650 days"),
        (["rotate-key", "{s}", "mirror"], "There is no role mirror"),
        (["block", "{s}", "K20260101_99"], "does not list K20260101_99"),
        (["remove", "{s}", "../x"], "does not list ../x"),
        (["add", "{s}", "{t}/none.tar.bz2"], "There is no file"),
        (["add", "{s}", "{t}/full/note.txt"], "is not named like a patchset archive"),
        (["add", "{s}", "{t}/full/x.tar.bz2"], "is not a name of a patchset of any product"),
    ],
)
def test_misuse_is_told_in_a_sentence(
    kc: InProcess, source: MadeSource, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "note.txt").write_text("note")
    (full / "x.tar.bz2").write_text("note")
    kc("doctor")
    before = tree(tmp_path)
    done = kc("source", *(each.format(s=source.folder, t=tmp_path) for each in arguments))
    assert done.code != 0
    assert sentence in done.said
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["status", "publish"])
def test_where_the_keys_are_there_need_be_no_portal(
    kc: InProcess, source: MadeSource, command: str
) -> None:
    before = tree(kc.data_dir) if kc.data_dir.exists() else None
    kc.ok("source", command, source.folder)
    assert (tree(kc.data_dir) if kc.data_dir.exists() else None) == before


def test_a_portal_serves_the_source(source: MadeSource, data_dir: Path) -> None:
    source.offer("kernel", FIRST)
    (source.folder / "metadata" / "out.json").symlink_to(next(source.keys.glob("root-*.pem")))
    portal = opened(data_dir, PUBLISH_SOURCE=str(source.folder))
    with TestClient(agent_app(portal), raise_server_exceptions=False) as client:
        stamp = client.get("/source/metadata/timestamp.json")
        assert stamp.content == (source.folder / "metadata/timestamp.json").read_bytes()
        again = {"If-None-Match": stamp.headers["etag"]}
        assert client.get("/source/metadata/timestamp.json", headers=again).status_code == 304
        stored = source.stored("kernel", FIRST)
        path = f"/source/targets/kernel/{stored.name}"
        part = client.get(path, headers={"Range": "bytes=10-"})
        assert (part.status_code, part.content) == (206, stored.read_bytes()[10:])
        for path in (
            f"../{source.keys.name}/root.json",
            f"metadata/..%2F..%2F{source.keys.name}%2Froot.json",
            f"metadata/%2E%2E/../../{source.keys.name}/root.json",
            f"metadata/{source.folder}/metadata/timestamp.json",
            "metadata/timestamp.json%00",
            "metadata//timestamp.json",
            "metadata/out.json",
            "metadata",
            "staging/x",
            "",
        ):
            assert client.get(f"/source/{path}").status_code == 404, path


def test_a_portal_asks_for_a_password(source: MadeSource, data_dir: Path) -> None:
    settings = {"PUBLISH_SOURCE_USER": "site", "PUBLISH_SOURCE_PASSWORD": "pass:wört"}
    portal = opened(data_dir, PUBLISH_SOURCE=str(source.folder), **settings)
    with TestClient(agent_app(portal), raise_server_exceptions=False) as client:
        path = "/source/metadata/timestamp.json"
        refused = client.get(path)
        assert refused.status_code == 401
        assert "Basic" in refused.headers["www-authenticate"]
        assert client.get(path, auth=("site", "other")).status_code == 401
        assert client.get(path, auth=("site", "")).status_code == 401
        assert client.get(path, headers={"Authorization": b"Basic \xe9"}).status_code == 401
        assert client.get("/source/none", auth=("site", "other")).status_code == 401
        assert client.get(path, auth=("site", "pass:wört")).status_code == 200


def test_a_portal_without_a_source_has_no_such_path(data_dir: Path) -> None:
    with TestClient(agent_app(opened(data_dir)), raise_server_exceptions=False) as client:
        assert client.get("/source/metadata/timestamp.json").status_code == 404


# What readers have not seen for long


def test_what_was_removed_long_ago_is_pruned(
    source: MadeSource, kc: InProcess, tmp_path: Path, cache: Path
) -> None:
    source.offer("kernel", FIRST, {TARGET: 1})
    source.offer("kernel", SECOND, {TARGET: 1, "a" * 40: 2})
    source.offer("kernel", THIRD, {TARGET: 3})
    source.remove(SECOND, THIRD)
    age(source, SECOND, days=31)
    before = tree(source.folder)
    told = kc.ok("source", "prune", "--dry-run", source.folder)
    assert (told, tree(source.folder)) == (f"{SECOND} would be pruned\n", before)
    assert kc.ok("source", "prune", source.folder) == "1 patchset was pruned\n"
    gone = before.keys() - tree(source.folder).keys()
    assert {name for name in gone if "/files/" not in name} == {
        name for name in before if SECOND in name
    }
    # The level that another patchset has too stays.
    assert {name.partition("/files/")[2] for name in gone if "/files/" in name} >= {
        "a" * 40 + "/2/kpatch.bin"
    }
    assert (source.folder / "targets/kernel/files" / TARGET / "1/kpatch.bin").exists()
    assert kc.ok("source", "prune", source.folder) == "0 patchsets were pruned\n"
    assert kc.ok("source", "prune", "--days", "0", source.folder) == "1 patchset was pruned\n"
    source.publish()
    assert names(seen(source, cache)) == {FIRST}


def test_what_readers_see_is_not_pruned(source: MadeSource, kc: InProcess, tmp_path: Path) -> None:
    source.offer("kernel", FIRST, {TARGET: 1})
    with source.opened() as publisher:
        publisher.remove([FIRST])
    source.add(archive(tmp_path, "kernel", SECOND, {TARGET: 2}), publish=False)
    for name in (FIRST, SECOND):
        age(source, name, days=100)
    before = tree(source.folder)
    assert kc.ok("source", "prune", "--days", "0", source.folder) == "0 patchsets were pruned\n"
    assert tree(source.folder) == before
    # It counts from when they no longer see it.
    source.publish()
    assert kc.ok("source", "prune", source.folder) == "0 patchsets were pruned\n"
    assert source.stored("kernel", FIRST).exists()


def age(source: MadeSource, name: str, days: int) -> None:
    """Let the files of a patchset be so old."""
    for kind in (".tar.*", ".meta.json"):
        path = source.stored("kernel", name, kind)
        moment = path.stat().st_mtime - days * 24 * 3600
        os.utime(path, (moment, moment))


def test_a_source_that_is_made_twice_at_once_is_one(kc: InProcess, tmp_path: Path) -> None:
    """What is refused takes nothing away that somebody else has made."""
    source = MadeSource(tmp_path / "source")
    kc.ok("source", "init", source.folder)
    before = tree(source.folder)
    assert kc("source", "init", source.folder).said == f"{source.folder} is a source already."
    assert tree(source.folder) == before


@pytest.mark.parametrize("folder", ["another source", "nothing"])
def test_keys_of_a_source_are_not_taken_for_unfinished_ones(
    source: MadeSource, kc: InProcess, tmp_path: Path, folder: str
) -> None:
    """Not even when the source itself is away, as on a disk that is not mounted."""
    before = tree(source.keys)
    place = source.folder if folder == "nothing" else tmp_path / "other"
    source.folder.rename(tmp_path / "unmounted")
    done = kc("source", "init", "--keys", source.keys, place)
    assert "is not empty: name another folder with --keys" in done.said
    assert tree(source.keys) == before
    assert not place.exists()
