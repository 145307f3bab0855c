"""Patches for real ELF files: packed, deployed, fetched by build-id, byte for byte what went in."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import requests
from httpx2 import Response
from starlette.testclient import TestClient

from eportal_core.errors import StorageError
from eportal_core.models import MAIN, Patchset
from eportal_core.operations import feeds, keys, missing, patchsets
from eportal_core.patchsets.pack import pack
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.portal import Portal
from eportal_core.types import Product
from eportal_libcare import plugin as libcare
from eportal_qemucare import plugin as qemucare
from tests.support.agents import basic, register
from tests.support.elfs import STYLES, library, nameless, program
from tests.support.inprocess import InProcess
from tests.support.polling import eventually
from tests.support.serving import Served

LIBCARE = libcare.spec.product
OLD, NEW = 2021012901, 2021012902
OLDER, NEWER, LATER = "U20210129_01", "U20210129_02", "U20210130_01"
#: Every byte there is, and more than one block of a tar file.
BYTES = bytes(range(256)) * 9


def patch(target: str, level: int) -> dict[str, bytes]:
    """The files of a level by name."""
    told = f"{level} of {target}\n".encode()
    return {"kpatch.bin": told + BYTES, "kpatch.bin.sig": b"signature of " + told}


def write_level(folder: Path, target: str, level: int) -> Path:
    """``<level>/<file>`` for ``target`` below ``folder``."""
    place = folder / str(level)
    place.mkdir(parents=True)
    for name, content in patch(target, level).items():
        (place / name).write_bytes(content)
    return folder


def pack_ready(
    folder: Path, name: str, levels: Mapping[str, int], spec: PatchsetSpec = libcare.spec
) -> Path:
    """An archive of the ready layout ``<build-id>/<level>/<file>``."""
    content = folder / f"{name}-content"
    for target, level in levels.items():
        write_level(content / target, target, level)
    path = folder / f"{name}.tar.bz2"
    pack(content, path, spec)
    return path


def unpacked(bundle: bytes) -> dict[str, bytes | str]:
    """Content by member, and where a link leads; tar itself must read it too."""
    subprocess.run(["tar", "-tzf", "-"], input=bundle, check=True, capture_output=True)
    found: dict[str, bytes | str] = {}
    with tarfile.open(fileobj=io.BytesIO(bundle), mode="r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = file.read() if file else member.linkname
    return found


def expected(target: str, level: int) -> dict[str, bytes | str]:
    """What a bundle holds: the storage layout of libcare."""
    files = {f"./{target}/{level}/{name}": data for name, data in patch(target, level).items()}
    return {f"./{target}/latest": str(level), **files}


def latest(answer: Response) -> str | bytes | None:
    """The level that a bundle leads to; None when there is none."""
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, answer.text
    (link,) = (name for name, content in unpacked(answer.content).items() if name[-7:] == "/latest")
    return unpacked(answer.content)[link]


class Asking:
    """A registered server of a new key, which asks for bundles."""

    def __init__(self, agent: TestClient, portal: Portal, *products: str, feed: str = MAIN) -> None:
        self._agent = agent
        key = keys.add(portal, feed=feed, products=products or [LIBCARE.name]).key
        self._headers = basic(register(agent, key))

    def bundle(self, target: str, before: str = "/userspace/any", **headers: str) -> Response:
        path = f"{before}/{target}/kpatch.tgz"
        return self._agent.get(path, headers=self._headers | headers)


def deployed(portal: Portal, path: Path, product: Product = LIBCARE, feed: str = MAIN) -> None:
    patchsets.deploy(portal, product, path, feed=feed)


def test_patches_of_real_files_come_back_byte_for_byte(served: Served, tmp_path: Path) -> None:
    """From a folder of ELF files beside their patches, by the commands that a user types."""
    folder = tmp_path / "patches"
    built = {
        library(folder / "a library" / "libanswer.so.1"): "libanswer.so.1",
        program(folder / "tool-2.0" / "tool", style="md5"): "tool",
    }
    for target, name in built.items():
        (elf,) = folder.glob(f"*/{name}")
        write_level(elf.parent, target, NEW)
    archive_path = tmp_path / f"{NEWER}.tar.bz2"
    served.cli.ok("libcare", "pack", folder, "-o", archive_path)
    with tarfile.open(archive_path) as packed:
        manifest = json.load(packed.extractfile("patchset.json") or io.BytesIO())
        # The files themselves stay where they are.
        assert not [name for name in packed.getnames() if name.endswith(tuple(built.values()))]
    assert {target: entry["name"] for target, entry in manifest["targets"].items()} == built

    served.cli.ok("libcare", "deploy", archive_path)
    served.cli.ok("key", "-a", "web", "--product", "libcare")
    auth = (served.register("web"), "any")
    for target in built:
        url = f"{served.url}/userspace/debian12/{target}/kpatch.tgz"
        answer = eventually(lambda url=url: requests.get(url, auth=auth, timeout=10))
        assert answer.status_code == 200, answer.text
        assert unpacked(answer.content) == expected(target, NEW)
        for name, content in patch(target, NEW).items():
            url = f"{served.url}/libcare/{target}/{NEW}/{name}"
            assert requests.get(url, auth=auth, timeout=10).content == content


@pytest.mark.parametrize(("style", "length"), STYLES.items())
def test_every_kind_of_build_id_is_a_target(
    portal: Portal, agent: TestClient, tmp_path: Path, style: str, length: int
) -> None:
    """Packed from the file itself, or in the ready layout: it is one level."""
    target = library(tmp_path / "elf" / "lib" / "libanswer.so", style=style)
    assert len(target) == 2 * length
    write_level(tmp_path / "elf" / "lib", target, NEW)
    from_elf = tmp_path / f"{NEWER}.tar.bz2"
    manifest = pack(tmp_path / "elf", from_elf, libcare.spec)
    ready = pack_ready(tmp_path, LATER, {target: NEW})
    assert list(manifest.targets) == [target]
    for path in (from_elf, ready):
        deployed(portal, path)
    server = Asking(agent, portal)
    assert unpacked(server.bundle(target).content) == expected(target, NEW)


def test_a_file_without_a_build_id_or_damaged_is_refused(kc: InProcess, tmp_path: Path) -> None:
    for name, content in {
        "none": None,
        "short": b"\x7fELF",
        "text": b"\x7fELF" + b"this is no such file at all" * 40,
    }.items():
        folder = tmp_path / name
        elf = folder / "lib" / "libanswer.so"
        if content is None:
            nameless(elf)
        else:
            elf.parent.mkdir(parents=True)
            elf.write_bytes(content)
        write_level(elf.parent, name, NEW)
        archive_path = tmp_path / f"{NEWER}.tar.bz2"
        said = kc.refused("libcare", "pack", folder, "-o", archive_path, code=1)
        assert str(elf) in said
        assert not archive_path.exists()


def test_a_build_id_that_is_no_target_is_named(kc: InProcess, tmp_path: Path) -> None:
    """A linker takes one of any length."""
    for build_id in ("12345678", "ab" * 36):
        elf = tmp_path / build_id[:2] / "lib" / "libanswer.so"
        library(elf, style=f"0x{build_id}")
        write_level(elf.parent, build_id, NEW)
        archive_path = tmp_path / f"{NEWER}.tar.bz2"
        said = kc.refused("libcare", "pack", elf.parent.parent, "-o", archive_path, code=1)
        assert str(elf) in said
        assert repr(build_id) in said


def test_a_folder_that_is_for_two_files_or_another_one_is_refused(
    kc: InProcess, tmp_path: Path
) -> None:
    def refusal(folder: str) -> str:
        archive_path = tmp_path / f"{NEWER}.tar.bz2"
        return kc.refused("libcare", "pack", tmp_path / folder, "-o", archive_path, code=1)

    for folder in ("two files", "another one", "twice"):
        target = library(tmp_path / folder / "lib" / "libanswer.so")
        write_level(tmp_path / folder / "lib", target, NEW)
    program(tmp_path / "two files" / "lib" / "tool")
    assert "2 ELF files" in refusal("two files")
    (tmp_path / "another one" / "lib").rename(tmp_path / "another one" / ("0" * 40))
    assert target in refusal("another one")
    shutil.copytree(tmp_path / "twice" / "lib", tmp_path / "twice" / "copy")
    assert target in refusal("twice")


def test_a_public_bundle_without_manifest_is_taken(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    """The libcare storage layout, links and all, packed by tar."""
    targets = [library(tmp_path / "one.so"), library(tmp_path / "two.so", answer=43)]
    for target in targets:
        write_level(tmp_path / "storage" / target, target, NEW)
        (tmp_path / "storage" / target / "latest").symlink_to(str(NEW))
    path = tmp_path / f"{NEWER}.tar.bz2"
    subprocess.run(["tar", "-C", tmp_path / "storage", "-cjf", path, "."], check=True)
    deployed(portal, path)
    server = Asking(agent, portal)
    for target in targets:
        assert unpacked(server.bundle(target).content) == expected(target, NEW)


def test_the_key_decides_which_products_a_server_gets(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    lib, qemu = library(tmp_path / "lib.so"), program(tmp_path / "qemu")
    deployed(portal, pack_ready(tmp_path, NEWER, {lib: NEW}))
    path = pack_ready(tmp_path, "U20210818_01-qemu", {qemu: NEW}, qemucare.spec)
    deployed(portal, path, qemucare.spec.product)

    def statuses(*products: str) -> list[int]:
        server = Asking(agent, portal, *products)
        return [server.bundle(target).status_code for target in (lib, qemu, "0" * 40)]

    assert statuses("kernel") == [403, 403, 403]
    assert statuses("qemu") == [403, 200, 404]
    assert statuses("libcare") == [200, 403, 404]
    assert statuses("libcare", "qemu") == [200, 200, 404]
    for target in (lib, qemu):
        assert agent.get(f"/userspace/any/{target}/kpatch.tgz").status_code == 401


def test_a_file_of_two_products_comes_from_the_one_that_the_key_has(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    target = library(tmp_path / "lib.so")
    deployed(portal, pack_ready(tmp_path, NEWER, {target: OLD}))
    path = pack_ready(tmp_path, "U20210818_01-qemu", {target: NEW}, qemucare.spec)
    deployed(portal, path, qemucare.spec.product)
    assert latest(Asking(agent, portal, "libcare").bundle(target)) == str(OLD)
    assert latest(Asking(agent, portal, "qemu").bundle(target)) == str(NEW)


def test_whatever_stands_before_the_build_id_but_a_feed_is_the_agents_business(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    target = library(tmp_path / "lib.so")
    feeds.add(portal, "test")
    deployed(portal, pack_ready(tmp_path, NEWER, {target: NEW}), feed="test")
    server = Asking(agent, portal)
    for anything in ("main", "test", "libcare", "a%20b", "ünïcode", "..%2e", "1"):
        assert latest(server.bundle(target, f"/test/userspace/{anything}")) == str(NEW)
        assert server.bundle(target, f"/userspace/{anything}").status_code == 404
        assert server.bundle(target, f"/main/userspace/{anything}").status_code == 404
        assert server.bundle(target, f"/other/userspace/{anything}").status_code == 404
    assert latest(Asking(agent, portal, feed="test").bundle(target)) == str(NEW)


def test_the_newest_level_is_served_and_the_older_one_after_it_was_taken_back(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    target, other = library(tmp_path / "lib.so"), library(tmp_path / "other.so", answer=43)
    server = Asking(agent, portal)

    def served_levels() -> list[str | bytes | None]:
        register(agent, keys.add(portal, products=["libcare"]).key)
        return [latest(server.bundle(each)) for each in (target, other)]

    deployed(portal, pack_ready(tmp_path, OLDER, {target: OLD, other: OLD}))
    assert served_levels() == [str(OLD), str(OLD)]
    deployed(portal, pack_ready(tmp_path, NEWER, {target: NEW}))
    assert served_levels() == [str(NEW), str(OLD)]
    patchsets.undeploy_downto(portal, LIBCARE, NEWER, MAIN)
    assert served_levels() == [str(OLD), str(OLD)]
    patchsets.enable(portal, LIBCARE, NEWER, MAIN)
    patchsets.disable(portal, LIBCARE, OLDER, MAIN)
    assert served_levels() == [str(NEW), None]
    patchsets.unroll(portal, LIBCARE, NEWER)
    assert served_levels() == [None, None]


def test_two_portals_make_the_same_bundle(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    """Agents behind a balancer may resume at the other portal what one had begun."""
    target = library(tmp_path / "lib.so")
    path = pack_ready(tmp_path, NEWER, {target: NEW})
    other = InProcess(tmp_path / "other")
    other.ok("libcare", "deploy", path)
    deployed(portal, path)
    bundle = Asking(agent, portal).bundle(target).content
    (made,) = (tmp_path / "other" / libcare.spec.tree / target).glob("*.tgz")
    assert made.read_bytes() == bundle


@pytest.mark.parametrize(
    "damage",
    [
        lambda bundle: bundle[:-8],
        lambda bundle: bundle[:-8] + bytes(8),
        lambda bundle: bundle + b"more",
        lambda bundle: bundle + gzip.compress(b"more"),
        lambda bundle: gzip.compress(gzip.decompress(bundle).replace(b"0000644", b"0000600")),
    ],
    ids=["no trailer", "other trailer", "more", "more, packed", "other mode"],
)
def test_a_bundle_that_is_not_byte_for_byte_what_was_made_is_a_fault(
    portal: Portal, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    target = "ab" * 20
    path = pack_ready(tmp_path, OLDER, {target: OLD})
    deployed(portal, path)
    store, patchset = portal.stores()[LIBCARE.name], Patchset.get_by_id(f"libcare/{OLDER}")
    bundle = store.bundle(target, OLD)
    assert list(store.faults(patchset)) == []
    bundle.write_bytes(damage(bundle.read_bytes()))
    (fault,) = store.faults(patchset)
    assert fault.startswith(str(bundle))


@pytest.mark.parametrize("place", ["", str(OLD)], ids=["target", "level"])
def test_a_link_instead_of_a_folder_is_a_fault(portal: Portal, tmp_path: Path, place: str) -> None:
    """Also when the same files are where it leads: somebody else may change them."""
    target = "ab" * 20
    deployed(portal, pack_ready(tmp_path, OLDER, {target: OLD}))
    store, patchset = portal.stores()[LIBCARE.name], Patchset.get_by_id(f"libcare/{OLDER}")
    folder = store.tree / target / place
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    (fault,) = store.faults(patchset)
    assert fault == f"{folder} is no folder"


@pytest.mark.parametrize("elsewhere", ["var/elsewhere", "elsewhere"])
def test_what_is_behind_a_link_is_not_put_in_order(
    portal: Portal, tmp_path: Path, elsewhere: str
) -> None:
    target = "ab" * 20
    deployed(portal, pack_ready(tmp_path, OLDER, {target: OLD}))
    store, patchset = portal.stores()[LIBCARE.name], Patchset.get_by_id(f"libcare/{OLDER}")
    folder = store.tree / target
    folder.rename(tmp_path / elsewhere)
    folder.symlink_to(tmp_path / elsewhere)
    with pytest.raises(StorageError, match="is a link, and no folder of a target: remove it"):
        missing.download_missing(portal, LIBCARE)
    folder.unlink()
    missing.download_missing(portal, LIBCARE)
    assert not list(store.faults(patchset))


def test_a_bundle_is_a_static_file_to_http(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    target = library(tmp_path / "lib.so")
    deployed(portal, pack_ready(tmp_path, NEWER, {target: NEW}))
    server = Asking(agent, portal)
    whole = server.bundle(target)
    assert whole.headers["accept-ranges"] == "bytes"
    etag = whole.headers["etag"]
    same = server.bundle(target, **{"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    rest = server.bundle(target, Range="bytes=100-", **{"If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    other = server.bundle(target, Range="bytes=100-", **{"If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    beyond = server.bundle(target, Range="bytes=100000000-")
    assert beyond.status_code == 416


def test_no_build_id_leads_to_another_file(
    portal: Portal, agent: TestClient, tmp_path: Path
) -> None:
    target = library(tmp_path / "lib.so")
    deployed(portal, pack_ready(tmp_path, NEWER, {target: NEW}))
    server = Asking(agent, portal)
    for attack in (
        "..",
        "%2e%2e",
        f"{target}%2f..%2f{target}",
        f"{target}%00",
        target.upper(),
        "x",
    ):
        assert server.bundle(attack).status_code == 404
