"""``kc.eportal esu``: all of what the upstream signed, or what was there before."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eportal_core import Job, Portal, PortalError, db
from eportal_core.jobs import all_jobs
from tests.support.disks import MIB, MountedDisk, mountable, mounted
from tests.support.esu_world import REPOSITORY, Packages, World, packages, world
from tests.support.inprocess import InProcess
from tests.support.opening import opened
from tests.support.rpms import Signer, end_agent

HELLO = "Packages/h/hello-1.0-1.noarch.rpm"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    with packages(tmp_path_factory.mktemp("made")) as found:
        yield found


@pytest.fixture
def esu(made: Packages, tmp_path: Path) -> Iterator[World]:
    with world(made, tmp_path) as found:
        yield found


@pytest.fixture
def mirrored(made: Packages, tmp_path: Path) -> Iterator[World]:
    with world(made, tmp_path, mirrored=True) as found:
        yield found


def rewrite_primary(esu: World, change: Callable[[str], str]) -> None:
    """Publish what an upstream that lies would sign: primary metadata as ``change`` made it."""
    esu.publish()
    repodata = esu.source / "repodata"
    (primary,) = repodata.glob("*-primary.xml.gz")
    data = gzip.compress(change(gzip.decompress(primary.read_bytes()).decode()).encode())
    old, new = primary.name.partition("-")[0], hashlib.sha256(data).hexdigest()
    size = primary.stat().st_size
    primary.unlink()
    (repodata / f"{new}-primary.xml.gz").write_bytes(data)
    repomd = repodata / "repomd.xml"
    text = repomd.read_text().replace(old, new)
    repomd.write_text(text.replace(f"<size>{size}</size>", f"<size>{len(data)}</size>", 1))
    esu.made.signer.sign(esu.source)


def rewrite_repomd(esu: World, change: Callable[[str], str]) -> None:
    esu.publish()
    repomd = esu.source / "repodata/repomd.xml"
    repomd.write_text(change(repomd.read_text()))
    esu.made.signer.sign(esu.source)


def rows(esu: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(esu.run("list", "--json").out)
    return found


def doctor(esu: World) -> str:
    environ = {f"EPORTAL_{name}": value for name, value in esu.settings.items()}
    return InProcess(esu.data_dir)("doctor", **environ).out


class TestMirror:
    def test_everything_the_upstream_has(self, esu: World) -> None:
        world = esu.add("world")
        esu.publish()

        assert esu.update() == f"{REPOSITORY}: 2 packages were fetched, 2 are mirrored\n"

        source = {
            path.relative_to(esu.source).as_posix(): path.read_bytes()
            for path in esu.source.rglob("*")
            if path.is_file()
        }
        assert {HELLO, world} < source.keys()
        assert esu.seen() == source

    def test_nothing_new_costs_two_requests(self, mirrored: World) -> None:
        assert mirrored.update() == f"{REPOSITORY}: up to date, 1 package\n"
        assert mirrored.upstream.requests == [
            f"/{REPOSITORY}/repodata/repomd.xml",
            f"/{REPOSITORY}/repodata/repomd.xml.asc",
        ]

    def test_only_what_is_new_is_fetched(self, mirrored: World) -> None:
        href = mirrored.add("world")
        mirrored.publish()
        mirrored.update()
        assert f"/{REPOSITORY}/{HELLO}" not in mirrored.upstream.requests
        assert mirrored.seen()[href] == (mirrored.source / href).read_bytes()

    @pytest.mark.parametrize("damage", ["missing", "truncated"])
    def test_a_lost_package_is_fetched_again(self, mirrored: World, damage: str) -> None:
        place = mirrored.mirror / HELLO
        whole = place.read_bytes()
        place.unlink() if damage == "missing" else place.write_bytes(whole[:-1])
        assert mirrored.run("list").out.rstrip().endswith("yes")
        mirrored.update()
        assert place.read_bytes() == whole

    def test_lost_metadata_is_fetched_again(self, mirrored: World) -> None:
        before = mirrored.seen()
        for path in (mirrored.mirror / "repodata").resolve().iterdir():
            path.write_bytes(b"")
        mirrored.update()
        assert mirrored.seen() == before

    @pytest.mark.parametrize("options", [["--xz"], ["--general-compress-type", "bz2"], ["--zck"]])
    def test_metadata_may_be_packed_in_other_ways(self, esu: World, options: list[str]) -> None:
        esu.publish(*options)
        assert "1 is mirrored" in esu.update()

    def test_a_removed_package_goes_with_the_switch_after_the_next(self, mirrored: World) -> None:
        mirrored.remove(HELLO)
        second = mirrored.add("world")
        mirrored.publish()
        mirrored.update()
        assert {HELLO, second} < mirrored.seen().keys(), "clients may still know the old metadata"

        mirrored.update()
        assert HELLO in mirrored.seen()

        mirrored.publish()
        mirrored.update()
        assert HELLO not in mirrored.seen()
        assert not (mirrored.mirror / HELLO).parent.exists()
        assert second in mirrored.seen()

    def test_a_package_replaced_under_its_name(self, mirrored: World) -> None:
        other = mirrored.made.path("hello", "2.0", 5000).read_bytes()
        (mirrored.source / HELLO).write_bytes(other)
        mirrored.publish()
        mirrored.update()
        assert mirrored.seen()[HELLO] == other

    def test_two_repositories_one_broken(self, esu: World) -> None:
        both = f"{REPOSITORY},almalinux9/fips"
        done = esu.run("update", ESU_REPOSITORIES=both)
        assert done.code == 1
        assert f"{REPOSITORY}: 1 package was fetched" in done.out
        assert "almalinux9/fips: " in done.err
        assert "404" in done.err
        assert esu.run("update", "--repository", REPOSITORY, ESU_REPOSITORIES=both).code == 0
        assert "no repository x" in esu.run("update", "--repository", "x").said


class TestInterrupted:
    def test_an_update_goes_on_where_it_stopped(self, mirrored: World) -> None:
        """Bytes are counted: what came before the upstream died does not come again."""
        names = [mirrored.add(name, size=2_000_000) for name in ("one", "two", "three")]
        mirrored.publish()
        mirrored.upstream.cut = {names[0]: 1_500_000}
        mirrored.upstream.broken = {names[1]}

        assert "2 of 4 packages could not be fetched" in mirrored.refused(fetched=True)

        mirrored.upstream.cut, mirrored.upstream.broken = {}, set()
        first = dict(mirrored.upstream.sent)
        mirrored.upstream.forget()
        mirrored.update()
        again = mirrored.upstream.sent
        size = (mirrored.source / names[0]).stat().st_size
        # A piece that did not come whole is asked for again.
        assert again[f"/{REPOSITORY}/{names[0]}"] <= size - 1_500_000 + (1 << 18)
        assert f"/{REPOSITORY}/{names[2]}" in first
        assert f"/{REPOSITORY}/{names[2]}" not in again

    def test_one_bad_package_does_not_stop_the_others(self, mirrored: World) -> None:
        good, bad = mirrored.add("good"), mirrored.add("bad")
        mirrored.publish()
        (mirrored.source / bad).write_bytes(b"x" * (mirrored.source / bad).stat().st_size)
        said = mirrored.refused(fetched=True)
        assert "bad-1.0-1.noarch.rpm has other bytes than its sha256 says" in said
        assert (mirrored.mirror / good).is_file()
        assert not (mirrored.mirror / bad).exists()
        (row,) = rows(mirrored)
        assert (row["packages"], row["incomplete"]) == (1, True)

    def test_an_upstream_that_is_away_is_not_asked_for_everything(self, mirrored: World) -> None:
        package = mirrored.source / mirrored.add("package")
        for number in range(40):
            package.with_name(f"copy{number}.rpm").write_bytes(package.read_bytes())
        mirrored.publish()
        mirrored.upstream.broken = {"Packages/p/"}
        mirrored.refused()
        asked = [path for path in mirrored.upstream.requests if "Packages" in path]
        assert 8 <= len(asked) < 15

    def test_a_full_disk_is_noticed_before_anything_is_fetched(self, mirrored: World) -> None:
        rewrite_primary(
            mirrored, lambda text: re.sub(r'package="\d+"', f'package="{1 << 50}"', text)
        )
        said = mirrored.refused(ESU_PACKAGE_MAX_BYTES=str(1 << 60))
        # The package that is there has another size now, so it would have to be fetched.
        assert "bytes on the disk, which has" in said
        assert f"/{REPOSITORY}/{HELLO}" not in mirrored.upstream.requests


class TestAttacks:
    def test_a_signature_by_another_key(self, mirrored: World, tmp_path: Path) -> None:
        other = Signer.make(tmp_path / "gpg", "other")
        mirrored.add("evil")
        mirrored.publish()
        other.sign(mirrored.source)
        end_agent(other.home)
        assert "no public key" in mirrored.refused()

    def test_no_signature(self, mirrored: World) -> None:
        mirrored.publish()
        (mirrored.source / "repodata/repomd.xml.asc").unlink()
        assert "repomd.xml.asc answered 404" in mirrored.refused()

    def test_an_empty_signature(self, mirrored: World) -> None:
        mirrored.publish()
        (mirrored.source / "repodata/repomd.xml.asc").write_bytes(b"")
        assert "The signature of repomd.xml is refused" in mirrored.refused()

    def test_a_signed_message_instead_of_a_signature(self, mirrored: World) -> None:
        """It is good, and says nothing of the repomd.xml beside it."""
        mirrored.publish()
        repomd = mirrored.source / "repodata/repomd.xml"
        mirrored.made.signer.gpg("--armor", "--output", f"{repomd}.asc", "--sign", repomd)
        repomd.write_text(repomd.read_text() + "<!-- -->")
        assert "The signature of repomd.xml is refused" in mirrored.refused()

    def test_a_keyring_of_a_crash_does_not_count(self, mirrored: World, tmp_path: Path) -> None:
        other = Signer.make(tmp_path / "gpg", "other")
        mirrored.publish()
        other.sign(mirrored.source)
        end_agent(other.home)
        shutil.copytree(other.home, mirrored.mirror / ".keyring")
        assert "no public key" in mirrored.refused()
        assert not (mirrored.mirror / ".keyring").exists()

    def test_a_tampered_repomd(self, mirrored: World) -> None:
        mirrored.publish()
        repomd = mirrored.source / "repodata/repomd.xml"
        repomd.write_text(repomd.read_text().replace("<size>", "<size>1"))
        assert "signature bad" in mirrored.refused()

    def test_an_expired_key(self, esu: World, tmp_path: Path) -> None:
        signer = Signer(esu.made.signer.home, "brief")
        signer.gpg(
            "--passphrase", "", "--quick-generate-key", "brief", "rsa2048", "sign",
            "seconds=86400", time="20200101T000000!",
        )  # fmt: skip
        key = signer.public_key(tmp_path / "brief.asc")
        Signer.gpg(
            signer, "--armor", "--local-user", "brief", "--detach-sign",
            esu.source / "repodata/repomd.xml", time="20200101T010000!",
        )  # fmt: skip
        assert "signing key has expired" in esu.refused(ESU_GPG_KEY=str(key))

    def test_a_revoked_key(self, esu: World, tmp_path: Path) -> None:
        signer = Signer.make(tmp_path / "gpg", "revoked")
        signer.sign(esu.source)
        (certificate,) = (signer.home / "openpgp-revocs.d").glob("*.rev")
        certificate.write_text(certificate.read_text().replace(":-----BEGIN", "-----BEGIN"))
        signer.gpg("--import", certificate)
        key = signer.public_key(tmp_path / "revoked.asc")
        end_agent(signer.home)
        assert "signing key was revoked" in esu.refused(ESU_GPG_KEY=str(key))

    def test_tampered_primary(self, mirrored: World) -> None:
        mirrored.add("world")
        mirrored.publish()
        (primary,) = (mirrored.source / "repodata").glob("*-primary.xml.gz")
        primary.write_bytes(primary.read_bytes()[:-1] + b"x")
        assert "has other bytes than its sha256 says" in mirrored.refused()

    def test_a_rollback(self, mirrored: World) -> None:
        old = {path: path.read_bytes() for path in (mirrored.source / "repodata").iterdir()}
        mirrored.publish()
        mirrored.update()
        for path in (mirrored.source / "repodata").iterdir():
            path.unlink()
        for path, data in old.items():
            path.write_bytes(data)

        said = mirrored.refused()
        assert "its revision 1000 is older than 1001" in said

        place = re.search(r"To take it all the same, remove (\S+)\.$", said.strip())
        assert place
        Path(place[1]).unlink()
        mirrored.update()
        assert b"<revision>1000<" in mirrored.seen()["repodata/repomd.xml"]

    @pytest.mark.parametrize(
        "href",
        [
            "../../../arch/x.rpm",
            "/etc/x.rpm",
            "Packages/../../x.rpm",
            "http://127.0.0.1/x.rpm",
            "repodata/x.rpm",
            ".incoming/x.rpm",
            "Packages//x.rpm",
            "Packages/%2e%2e/x.rpm",
            "Packages/x.rpm?y.rpm",
            "Packages/x y.rpm",
            "Packages/x.txt",
            "",
        ],
    )
    def test_a_hostile_href(self, mirrored: World, href: str) -> None:
        rewrite_primary(mirrored, lambda text: text.replace(f'href="{HELLO}"', f'href="{href}"'))
        assert "is refused" in mirrored.refused()

    def test_a_package_that_is_elsewhere(self, mirrored: World) -> None:
        base = 'xml:base="http://127.0.0.1:1/"'
        rewrite_primary(mirrored, lambda t: t.replace("<location ", f"<location {base} "))
        assert "its place is not plainly in here" in mirrored.refused()

    @pytest.mark.parametrize("weak", ["md5", "sha1", "sha"])
    def test_a_weak_checksum(self, mirrored: World, weak: str) -> None:
        rewrite_primary(mirrored, lambda t: t.replace('type="sha256"', f'type="{weak}"'))
        assert "proves nothing" in mirrored.refused()

    def test_metadata_beside_repodata(self, mirrored: World) -> None:
        rewrite_repomd(mirrored, lambda t: t.replace('href="repodata/', 'href="Packages/'))
        assert "its place is not plainly in here" in mirrored.refused()

    def test_metadata_that_would_be_repomd_itself(self, mirrored: World) -> None:
        rewrite_repomd(
            mirrored, lambda t: re.sub('href="[^"]*-oth', 'href="repodata/repomd.xml', t)
        )
        assert "its place is not plainly in here" in mirrored.refused()

    def test_an_endless_repomd(self, mirrored: World) -> None:
        (mirrored.source / "repodata/repomd.xml").write_bytes(b" " * (3 << 20))
        assert "is longer than" in mirrored.refused()

    def test_metadata_larger_than_it_may_be(self, mirrored: World) -> None:
        rewrite_repomd(mirrored, lambda t: re.sub("<size>[0-9]+<", f"<size>{1 << 40}<", t))
        assert "bytes, not 1 to" in mirrored.refused()

    def test_metadata_that_unpacks_without_end(self, mirrored: World) -> None:
        rewrite_primary(mirrored, lambda text: text + " " * (64 << 20))
        assert "unpacks to more than" in mirrored.refused(ESU_METADATA_MAX_BYTES=str(32 << 20))

    @pytest.mark.parametrize(
        ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
    )
    def test_metadata_that_cannot_be_unpacked(
        self, mirrored: World, ending: str, pack: Callable[[bytes], bytes]
    ) -> None:
        mirrored.publish()
        repodata = mirrored.source / "repodata"
        (primary,) = repodata.glob("*-primary.xml.gz")
        data = bytearray(pack(gzip.decompress(primary.read_bytes())))
        for place in range(len(data) // 3, len(data) // 3 + 40):
            data[place] ^= 0xFF
        digest, name = hashlib.sha256(data).hexdigest(), f"x-primary.xml.{ending}"
        (repodata / name).write_bytes(data)
        entry = f'<data type="primary"><checksum type="sha256">{digest}</checksum>'
        entry += f'<location href="repodata/{name}"/><size>{len(data)}</size></data>'
        repomd = repodata / "repomd.xml"
        text = re.sub('<data type="primary">.*?</data>', entry, repomd.read_text(), flags=re.DOTALL)
        repomd.write_text(text)
        mirrored.made.signer.sign(mirrored.source)
        assert f"{name} cannot be unpacked: " in mirrored.refused()

    @pytest.mark.parametrize("revision", ["9" * 5000, "1\n2", "\x9b31m"])
    def test_a_revision_that_is_none(self, mirrored: World, revision: str) -> None:
        rewrite_repomd(mirrored, lambda t: re.sub("<revision>[0-9]+<", f"<revision>{revision}<", t))
        assert "its revision is no number and no name" in mirrored.refused()

    def test_primary_that_is_no_xml(self, mirrored: World) -> None:
        rewrite_primary(mirrored, lambda text: text[: len(text) // 2])
        assert "cannot be read" in mirrored.refused()


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("ESU_URL", "", "No source is set"),
            ("ESU_URL", "ftp://repo.corp/", "must be an address"),
            ("ESU_GPG_KEY", "", "nothing is mirrored whose signature cannot be checked"),
            ("ESU_GPG_KEY", "/nowhere/key.asc", "/nowhere/key.asc cannot be read"),
            ("ESU_GPG_KEY", "/etc/hostname", "holds no public key"),
            ("ESU_REPOSITORIES", "", "ESU_REPOSITORIES is empty"),
            ("ESU_REPOSITORIES", "../x", "a path such as"),
            ("ESU_REPOSITORIES", "a,a/b", "lies in another"),
            ("ESU_REPOSITORIES", "a,a/", "twice"),
        ],
    )
    def test_what_is_missing_is_said(
        self, esu: World, name: str, value: str, sentence: str
    ) -> None:
        done = esu.run("update", **{name: value})
        assert done.code
        assert sentence in done.err
        assert len(done.err.strip().splitlines()) == 1

    @pytest.mark.skipif(not mountable(), reason="nothing can be mounted here")
    def test_a_full_disk_is_no_bad_key(self, esu: World, tmp_path: Path) -> None:
        with mounted(tmp_path / "disk", MIB) as disk:
            (disk / "esu").mkdir()
            MountedDisk(disk).fill()
            done = esu.run("update", PATCHES_DIR=str(disk))
        assert done.code == 1
        assert "The disk refused at " in done.err
        assert "ESU_GPG_KEY" not in done.err

    def test_a_wrong_password(self, esu: World) -> None:
        assert "401" in esu.refused(ESU_PASSWORD="wrong")


class TestVerify:
    def test_a_flipped_byte(self, mirrored: World) -> None:
        assert mirrored.run("verify").out == "1 repository was verified, 0 faults were found\n"
        place = mirrored.mirror / HELLO
        data = bytearray(place.read_bytes())
        data[1000] ^= 1
        place.write_bytes(data)

        done = mirrored.run("verify", REPOSITORY)

        assert done.code == 1
        assert done.err == f"{REPOSITORY}: {HELLO} has other bytes than its sha256 says\n"
        place.unlink()
        assert mirrored.run("verify").err == f"{REPOSITORY}: {HELLO} is missing\n"

    def test_metadata(self, mirrored: World) -> None:
        for path in sorted((mirrored.mirror / "repodata").resolve().iterdir()):
            data = path.read_bytes()
            path.write_bytes(data[:-2] + b"xx")
            done = mirrored.run("verify")
            assert done.code == 1, path
            assert len(done.err.splitlines()) == 1
            path.write_bytes(data)
        assert mirrored.run("verify").code == 0

    @pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
    def test_metadata_that_cannot_be_unpacked(self, esu: World, packing: str) -> None:
        """Every command says so in a sentence, and an update mends it as docs/esu.md says."""
        esu.publish("--general-compress-type", packing)
        esu.update()
        (primary,) = (esu.mirror / "repodata").resolve().glob(f"*-primary.xml.{packing}")
        data = primary.read_bytes()
        primary.write_bytes(data[:20] + bytes(len(data) - 20))

        done = esu.run("verify")

        assert done.code == 1
        assert f"its metadata cannot be read: {primary.name} cannot be unpacked: " in done.err
        assert rows(esu)[0]["incomplete"]
        assert f"{primary.name} cannot be unpacked: " in esu.refused()
        primary.unlink()
        esu.update()
        assert primary.read_bytes() == data

    def test_nothing_mirrored_yet(self, esu: World) -> None:
        assert "nothing was mirrored yet" in esu.run("verify").err


class TestList:
    def test_what_is_mirrored(self, mirrored: World) -> None:
        size = sum(
            path.stat().st_size
            for path in mirrored.source.rglob("*")
            if path.is_file() and not path.name.startswith("repomd.xml")
        )
        (row,) = rows(mirrored)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row.pop("mirrored"))
        assert row == {
            "repository": REPOSITORY,
            "packages": 1,
            "size": size,
            "revision": "1000",
            "incomplete": False,
        }

    def test_doctor(self, esu: World) -> None:
        finding = f"esu {REPOSITORY}: 0 packages, mirrored never, incomplete"
        assert f"BAD {finding}" in doctor(esu)
        esu.update()
        assert f"ok  esu {REPOSITORY}: 1 packages, mirrored 2" in doctor(esu)
        ahead = time.time() + 86400
        os.utime(esu.mirror / ".mirrored", (ahead, ahead))
        assert "\n    The clock was ahead then" in doctor(esu)
        (esu.mirror / HELLO).unlink()
        assert "incomplete\n    Run kc.eportal esu update" in doctor(esu)


class TestJob:
    @pytest.fixture
    def job(self, esu: World) -> Iterator[Job]:
        settings = {**esu.settings, "ESU_REPOSITORIES": [REPOSITORY], "ESU_UPDATE_PERIOD": 60}
        portal = opened(esu.data_dir, **settings)
        (found,) = [job for job in all_jobs(portal) if job.name == "esu-update"]
        yield found
        db.close()

    def test_it_updates(self, job: Job, esu: World) -> None:
        assert job.period == 60
        assert job.run() == f"{REPOSITORY}: 1 package was fetched, 1 is mirrored"
        assert HELLO in esu.seen()

    def test_it_says_what_went_wrong(self, job: Job, esu: World) -> None:
        esu.upstream.broken = {"repomd.xml.asc"}
        with pytest.raises(PortalError, match=f"{REPOSITORY}: .*repomd.xml.asc answered 403"):
            job.run()

    def test_without_a_period_there_is_none(self, portal: Portal) -> None:
        assert "esu-update" not in {job.name for job in all_jobs(portal)}
