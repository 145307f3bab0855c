"""The attacks on a patch source, by the names that the TUF specification gives them (1.5.2).

Each is made of real files, in a directory or behind a real nginx. Each is refused with a sentence
that tells what happened, changes nothing, and does no harm to what comes after it.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from eportal_core.errors import SourceRefused, UpstreamError
from eportal_core.portal import Portal
from tests.support.forged_sources import ForgedSource, in_days
from tests.support.reading import Reader, behind_nginx
from tests.support.states import State, state_of

NAME = "K20260915_01"
LATER = "K20260920_01"


class World:
    """A source that is attacked, and a portal that trusts it and has read it."""

    def __init__(self, source: ForgedSource, reader: Reader, first: Path) -> None:
        self.source = source
        self.reader = reader
        #: The files of the source as they were at the beginning.
        self.first = first
        self._offers = reader.refresh()

    def publish_later(self) -> None:
        """The publisher adds a patchset; the portal has not read it yet."""
        self.source.add("kernel", LATER)
        self.source.publish("kernel")

    def state(self) -> State:
        return state_of(self.reader.data_dir)

    def refused(self) -> str:
        """The sentence of a refusal that changed nothing of what the portal has."""
        before = self.state()
        with pytest.raises(SourceRefused) as caught:
            self.reader.refresh()
        after = self.state()
        assert after.rows == before.rows
        assert accepted(after) == accepted(before)
        sentence = str(caught.value)
        assert sentence.endswith(".")
        assert "\n" not in sentence
        return sentence

    def what_was_accepted_still_verifies(self) -> None:
        """The portal's own copy is good: the same source as at first needs nothing else."""
        assert self.reader.refresh() == self._offers

    def names(self) -> list[str]:
        return [offer.name for offer in self.reader.refresh() if offer.product == "kernel"]

    def metadata(self, name: str) -> Path:
        return self.source.folder / "metadata" / name


def accepted(state: State) -> dict[str, str]:
    """Every file that the portal keeps, but for work in progress and roots, which may only grow."""
    return {
        path: content
        for path, content in state.files.items()
        if "/next" not in path and "/roots/" not in path
    }


@pytest.fixture(params=["nginx", "directory"])
def world(request: pytest.FixtureRequest, portal: Portal, tmp_path: Path) -> Iterator[World]:
    source = ForgedSource(tmp_path / "source", "kernel", "libcare")
    source.add("kernel", NAME)
    source.add("libcare", "U20260915_01")
    source.publish()
    source.copy_to(tmp_path / "first")
    reader = Reader(portal)
    first = tmp_path / "first"
    root = first / "metadata" / "1.root.json"
    if request.param == "directory":
        yield World(source, reader.of(source.folder, ROOT=root), first)
        return
    with behind_nginx(source.folder, tmp_path / "nginx") as url:
        yield World(source, reader.of(url, ROOT=root), first)


# Rollback


def test_rollback_of_everything(world: World, tmp_path: Path) -> None:
    world.publish_later()
    assert world.names() == [NAME, LATER]
    world.source.copy_to(tmp_path / "newest")
    world.source.replace_by(world.first)
    assert "timestamp.json has version 2, and had 3 before" in world.refused()
    world.source.replace_by(tmp_path / "newest")
    assert world.names() == [NAME, LATER]


@pytest.mark.parametrize("role", ["snapshot", "kernel"])
def test_rollback_of_one_role_by_who_stole_the_keys_above_it(world: World, role: str) -> None:
    world.publish_later()
    assert world.names() == [NAME, LATER]
    version = world.source.signed[role].version
    # The thief signs a new timestamp, and for a product a new snapshot, which name an old version.
    world.source.of("timestamp").version += 1
    if role == "kernel":
        world.source.of("snapshot").version += 1
        world.source.of("snapshot").meta["kernel.json"].version = version - 1
        world.source.write("snapshot")
        world.source.of("timestamp").snapshot_meta.version += 1
    else:
        world.source.of("timestamp").snapshot_meta.version = version - 1
    world.source.write("timestamp")
    assert f"{role}.json has version {version - 1}, and had {version} before" in world.refused()
    world.source.publish()
    assert world.names() == [NAME, LATER]


def test_rollback_by_leaving_out_a_product(world: World) -> None:
    world.source.of("snapshot").version += 1
    world.source.of("snapshot").meta.pop("libcare.json")
    world.source.of("timestamp").version += 1
    world.source.of("timestamp").snapshot_meta.version += 1
    world.source.write("snapshot")
    world.source.write("timestamp")
    assert "libcare.json, which was there before, is missing" in world.refused()
    world.source.publish()
    assert world.names() == [NAME]


# Freeze


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "kernel"])
def test_freeze_names_the_expiry_and_the_clock(world: World, role: str) -> None:
    world.source.of(role).expires = in_days(-1)
    changed = [] if role in ("timestamp", "snapshot") else [role]
    world.source.publish(*changed)
    sentence = world.refused()
    expired = world.source.of(role).expires.strftime("%Y-%m-%d %H:%M UTC")
    today = in_days(0).strftime("%Y-%m-%d")
    assert f"its {role}.json expired at {expired}" in sentence
    assert f"the clock of this portal says {today}" in sentence
    world.source.of(role).expires = in_days(9)
    world.source.publish(*changed)
    assert world.names() == [NAME]


def test_freeze_of_what_was_good_when_it_was_read(world: World) -> None:
    world.source.of("timestamp").expires = in_days(2 / 24 / 3600)
    world.source.publish()
    assert world.names() == [NAME]
    time.sleep(max(0.0, (world.source.of("timestamp").expires - in_days(0)).total_seconds() + 1))
    assert "its timestamp.json expired" in world.refused()
    world.source.of("timestamp").expires = in_days(9)
    world.source.publish()
    assert world.names() == [NAME]


def test_freeze_behind_a_clock_that_was_set_back(world: World) -> None:
    mark = world.reader.data_dir / "source" / "refreshed"
    mark.write_text(in_days(3).isoformat())
    sentence = world.refused()
    assert in_days(3).strftime("was read at %Y-%m-%d") in sentence
    assert in_days(0).strftime("says %Y-%m-%d") in sentence
    assert str(mark) in sentence
    mark.unlink()
    world.what_was_accepted_still_verifies()


def test_a_damaged_note_of_the_last_time_is_not_taken_for_none(world: World) -> None:
    mark = world.reader.data_dir / "source" / "refreshed"
    mark.write_text(f"{mark.read_text()}\n")
    world.what_was_accepted_still_verifies()
    mark.write_text("lately")
    assert "refreshed is damaged" in world.refused()
    mark.unlink()
    world.what_was_accepted_still_verifies()


# Fast-forward


def test_fast_forward_is_recovered_from_by_a_new_root(world: World) -> None:
    # Who stole the key of the timestamp, and that of the snapshot, jumps far ahead.
    honest = {role: world.source.of(role).version for role in ("timestamp", "snapshot")}
    for role in honest:
        world.source.of(role).version = 2**31
    world.source.publish()
    assert world.names() == [NAME]
    # The publisher goes on as before: to this portal it is a rollback.
    for role, version in honest.items():
        world.source.of(role).version = version
    world.publish_later()
    assert f"and had {2**31 + 1} before" in world.refused()
    # Source: The Update Framework specification, 5.3.11.
    world.source.rotate("timestamp", "snapshot")
    world.source.publish()
    assert world.names() == [NAME, LATER]


def test_fast_forward_to_a_snapshot_that_is_not_there_leaves_nothing_behind(world: World) -> None:
    world.source.of("timestamp").version = 2**31
    world.source.of("timestamp").snapshot_meta.version = 2**31
    world.source.write("timestamp")
    before = world.state()
    with pytest.raises(UpstreamError, match="is not whole"):
        world.reader.refresh()
    assert accepted(world.state()) == accepted(before)
    world.source.of("timestamp").version = 2
    world.publish_later()
    assert world.names() == [NAME, LATER]


def test_a_root_that_takes_a_stolen_key_out_of_use_is_not_forgotten(world: World) -> None:
    thief = world.source.keys["timestamp"]
    world.source.rotate("timestamp")
    world.source.publish()
    good = world.metadata("timestamp.json").read_bytes()
    world.metadata("timestamp.json").write_bytes(b"{}")
    world.refused()
    # Now the thief hides the new root and signs with the old key.
    hidden = world.metadata("2.root.json")
    hidden.rename(world.source.folder / "hidden")
    world.source.keys["timestamp"], honest = thief, world.source.keys["timestamp"]
    world.source.of("timestamp").version += 1
    world.source.write("timestamp")
    assert "timestamp.json is not signed" in world.refused()
    world.source.keys["timestamp"] = honest
    world.metadata("timestamp.json").write_bytes(good)
    assert world.names() == [NAME]


# Endless data


@pytest.mark.parametrize(
    "name", ["2.root.json", "timestamp.json", "3.snapshot.json", "2.kernel.json"]
)
def test_endless_data(world: World, name: str) -> None:
    world.publish_later()
    file = world.metadata(name)
    good = file.read_bytes() if file.exists() else None
    with file.open("wb") as endless:
        endless.truncate(1 << 34)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    assert "sends metadata without end" in world.refused()
    assert time.monotonic() - started < 10
    # KiB: far less than what is sent.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 300_000
    file.unlink()
    if good is not None:
        file.write_bytes(good)
    assert world.names() == [NAME, LATER]


def test_endless_data_that_a_signature_allows(world: World) -> None:
    world.publish_later()
    world.source.of("snapshot").meta["kernel.json"].length = 1 << 40
    world.source.write("snapshot")
    file = world.metadata("2.kernel.json")
    good = file.read_bytes()
    with file.open("ab") as endless:
        endless.truncate(1 << 34)
    assert "sends metadata without end" in world.refused()
    file.write_bytes(good)
    world.source.publish()
    assert world.names() == [NAME, LATER]


# Mix-and-match


@pytest.mark.parametrize("role", ["snapshot", "targets", "kernel"])
def test_mix_and_match_of_old_and_new_files(world: World, role: str) -> None:
    old = world.source.of(role).version
    world.source.add("kernel", LATER)
    world.source.publish("kernel", "targets")
    new = world.metadata(f"{old + 1}.{role}.json")
    good = new.read_bytes()
    shutil.copy(world.metadata(f"{old}.{role}.json"), new)
    assert f"its {role}.json does not belong to its other metadata" in world.refused()
    new.write_bytes(good)
    assert world.names() == [NAME, LATER]


def test_mix_and_match_against_a_hash(world: World) -> None:
    world.publish_later()
    other = world.metadata("2.kernel.json").read_bytes()
    world.source.add("kernel", "K20260930_01")
    world.source.write("kernel")
    world.source.of("snapshot").meta["kernel.json"].hashes = {"sha256": "0" * 64}
    world.source.write("snapshot")
    assert "its kernel.json does not belong to its other metadata" in world.refused()
    world.metadata("2.kernel.json").write_bytes(other)
    world.source.of("snapshot").meta["kernel.json"].hashes = None
    world.source.write("snapshot")
    assert world.names() == [NAME, LATER]


# Wrong key


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "kernel", "libcare"])
def test_wrong_key(world: World, role: str) -> None:
    good = world.source.keys[role]
    world.source.keys[role] = CryptoSigner.generate_ed25519()
    world.publish_later()
    world.source.publish("targets", "libcare")
    assert f"its {role}.json is not signed by the keys that are trusted here" in world.refused()
    world.source.keys[role] = good
    world.source.publish("targets", "kernel", "libcare")
    assert world.names() == [NAME, LATER]


def test_wrong_key_of_a_new_root(world: World) -> None:
    good = world.source.keys["root"]
    world.source.keys["root"] = CryptoSigner.generate_ed25519()
    world.source.of("root").version += 1
    forged = world.source.write("root")
    assert "its root.json is not signed" in world.refused()
    forged.unlink()
    world.source.keys["root"] = good
    world.what_was_accepted_still_verifies()


def test_wrong_key_of_a_whole_source(world: World, tmp_path: Path) -> None:
    other = ForgedSource(tmp_path / "other", "kernel", "libcare")
    other.add("kernel", LATER)
    other.publish()
    world.source.replace_by(other.folder)
    assert "run kc.eportal source trust" in world.refused()
    world.source.replace_by(world.first)
    world.what_was_accepted_still_verifies()


def test_a_signature_that_was_changed(world: World) -> None:
    file = world.metadata("timestamp.json")
    good = file.read_bytes()
    for bad in (
        good.replace(b'"version":2', b'"version":9'),
        good.replace(b'"sig":"', b'"sig":"00'),
        good.replace(b'"signatures":[', b'"signatures":[{"keyid":"a","sig":"zz"},').replace(
            b'"version":2', b'"version":9'
        ),
    ):
        assert bad != good
        file.write_bytes(bad)
        assert "timestamp.json is not signed" in world.refused()
    file.write_bytes(good)
    world.what_was_accepted_still_verifies()


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b"\xff", b"<html>", b"[" * 10_000, b'{"signed":{}}', b"1" * 5000],
)
def test_metadata_that_is_none(world: World, content: bytes) -> None:
    world.publish_later()
    for name in ("2.root.json", "timestamp.json", "3.snapshot.json", "2.kernel.json"):
        file = world.metadata(name)
        good = file.read_bytes() if file.exists() else None
        file.write_bytes(content)
        assert "cannot be used" in world.refused()
        file.unlink()
        if good is not None:
            file.write_bytes(good)
    assert world.names() == [NAME, LATER]


# Expired root


def test_expired_root(world: World) -> None:
    world.source.of("root").expires = in_days(-2)
    world.source.of("root").version += 1
    world.source.write("root")
    sentence = world.refused()
    assert in_days(-2).strftime("its root.json expired at %Y-%m-%d") in sentence
    assert "the clock of this portal says" in sentence
    world.source.of("root").expires = in_days(300)
    world.source.of("root").version += 1
    world.source.write("root")
    world.what_was_accepted_still_verifies()


# Swapped product


def test_swapped_product_by_another_products_signer(world: World) -> None:
    """A role lists patchsets of a product that it may not sign for."""
    path = "kernel/K20260930_01.tar.bz2"
    world.source.add("kernel", "K20260930_01")
    stolen = world.source.of("kernel").targets.pop(path)
    world.source.of("libcare").targets[path] = stolen
    world.source.of("kernel").targets.pop("kernel/K20260930_01.meta.json")
    world.source.publish("libcare")
    assert "'kernel/K20260930_01.tar.bz2'" in world.refused()
    world.source.of("libcare").targets.pop(path)
    world.source.publish("libcare")
    assert world.names() == [NAME]


def test_swapped_product_in_what_is_said_of_it(world: World) -> None:
    world.source.add("libcare", "U20260930_01", product="kernel")
    world.source.publish("libcare")
    assert "says that it is of the product 'kernel'" in world.refused()
    world.source.add("libcare", "U20260930_01")
    world.source.publish("libcare")
    assert world.names() == [NAME]


def test_swapped_product_by_another_products_file(world: World) -> None:
    world.publish_later()
    world.source.publish("libcare")
    file = world.metadata("2.kernel.json")
    good = file.read_bytes()
    shutil.copy(world.metadata("2.libcare.json"), file)
    assert "its kernel.json is not signed" in world.refused()
    file.write_bytes(good)
    assert world.names() == [NAME, LATER]


def test_swapped_product_by_a_delegation(world: World) -> None:
    world.source.of("targets").delegations.roles["kernel"].paths = ["firmware/*"]
    world.source.of("targets").delegations.roles["libcare"].paths = ["*/*"]
    world.source.publish("targets")
    assert "has patchsets of kernel signed as those of libcare" in world.refused()
    world.source.delegate("kernel", "libcare")
    world.source.publish("targets")
    assert world.names() == [NAME]


# Tampered archive after download of the metadata


@pytest.mark.parametrize("what", ["archive", "meta"])
@pytest.mark.parametrize("damage", ["changed", "longer", "shorter", "other"])
def test_tampered_archive(world: World, what: str, damage: str, tmp_path: Path) -> None:
    suffix = "tar.bz2" if what == "archive" else "meta.json"
    (file,) = world.source.folder.glob(f"targets/kernel/*.{NAME}.{suffix}")
    good = file.read_bytes()
    bad = {
        "changed": good[:100] + bytes([good[100] ^ 1]) + good[101:],
        "longer": good + b"\n",
        "shorter": good[:-1],
        "other": os.urandom(len(good)),
    }
    with world.reader.opened() as source:
        offer = source.refresh()[0]
        before = world.state()
        file.write_bytes(bad[damage])
        fetch = {
            "archive": lambda: source.fetch_archive(offer, tmp_path / "new" / "archive"),
            "meta": lambda: source.fetch_manifest(offer),
        }
        with pytest.raises(SourceRefused, match="offers what nobody signed"):
            fetch[what]()
        assert world.state() == before
        assert not list((tmp_path / "new").glob("*"))
        file.write_bytes(good)
        for again in fetch.values():
            again()
    world.what_was_accepted_still_verifies()


def test_a_manifest_of_another_patchset_is_refused(world: World) -> None:
    """Signed, and a manifest, but not of what it is listed as."""
    world.source.add("kernel", LATER)
    listed = world.source.of("kernel").targets
    one, other = listed[f"kernel/{NAME}.meta.json"], listed[f"kernel/{LATER}.meta.json"]
    (file,) = world.source.folder.glob(f"targets/kernel/*.{LATER}.meta.json")
    world.source.place(
        f"targets/kernel/{other.hashes['sha256']}.{NAME}.meta.json", file.read_bytes()
    )
    one.hashes, one.length = other.hashes, other.length
    world.source.publish("kernel")
    with world.reader.opened() as source:
        offer = source.refresh()[0]
        with pytest.raises(SourceRefused, match="is of another patchset"):
            source.fetch_manifest(offer)
