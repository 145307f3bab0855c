"""A product whose plugin deploys by itself: as docs/plugins.md tells it, and wrongly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import eportal_core
from eportal_core import Entry, Job, Portal, Product, Release, ReleasedLevel, Tree, db, hookimpl
from eportal_core.admin.app import admin_app
from eportal_core.errors import ArchiveError, PluginError, StorageError
from eportal_core.job_runs import run
from eportal_core.operations import feeds, patchsets, users
from eportal_core.patchsets.levels import latest_levels
from tests.support.plugins import Installed, opened

PAGE = Path(__file__).parent.parent / "docs" / "plugins.md"
CERTS = Product(name="certs", command="certs", title="Certificates")
PASSWORD = "correct horse battery"


class Shop:
    """A product ``certs`` in a tree of its own."""

    @hookimpl
    def eportal_products(self) -> list[Product]:
        return [CERTS]

    @hookimpl
    def eportal_storage(self, portal: Portal) -> list[Tree]:
        return [Tree("certs", "certs")]


class Told:
    """The two hooks of the page, as they stand there."""

    def __init__(self) -> None:
        text = PAGE.read_text().partition("of a target and a level each, deploys them so:")[2]
        code = text.partition("```python\n")[2].partition("```")[0]
        names = {name: getattr(eportal_core, name) for name in eportal_core.__all__}
        found: dict[str, Any] = {**names, "parsed": parsed, "hashlib": hashlib}
        exec(code, found)
        self.eportal_deploy = found["eportal_deploy"]
        self.eportal_unroll = found["eportal_unroll"]


class Wrong:
    """Deploys a file and answers ``release``; its journal names ``entry``."""

    def __init__(self, entry: Entry, release: object) -> None:
        self.entry = entry
        self.release = release

    @hookimpl
    def eportal_deploy(self, portal: Portal, product: str, archive: Path) -> object:
        workspace = portal.storage.workspace()
        (workspace / "cert.pem").write_bytes(archive.read_bytes())
        portal.storage.journal(workspace, [self.entry])
        for path in self.entry.paths:
            portal.storage.place(workspace / "cert.pem", portal.config.patches_dir / path)
        return self.release


def parsed(name: str) -> tuple[str, int]:
    target, _, level = name.rpartition(".")
    if not target or not level.isdecimal():
        raise ArchiveError(f"{name} is no name of a certificate.")
    return target, int(level)


@pytest.fixture
def cert(tmp_path: Path) -> Path:
    path = tmp_path / "root-ca.2.pem"
    path.write_text("a certificate")
    return path


@pytest.fixture
def portal(installed: Installed, data_dir: Path) -> Iterator[Portal]:
    installed.plugin("shop", Shop())
    installed.plugin("told", Told())
    made = opened(installed.load(), data_dir)
    with db.connection():
        yield made


def test_what_the_page_tells_deploys_and_takes_back(portal: Portal, cert: Path) -> None:
    patchsets.deploy(portal, CERTS, cert)
    place = portal.config.patches_dir / "certs/root-ca/2.pem"
    assert place.read_text() == "a certificate"
    (level,) = latest_levels("certs", "main")
    assert (level.target, level.level) == ("root-ca", 2)
    feeds.add(portal, "test")
    patchsets.enable(portal, CERTS, "root-ca.2", "test")
    patchsets.unroll(portal, CERTS, "root-ca.2")
    assert latest_levels("certs", "main") == latest_levels("certs", "test") == []
    assert place.exists()
    patchsets.unroll(portal, CERTS, "root-ca.2", delete=True)
    assert not place.parent.exists()
    assert not [path for path in portal.storage.staging.iterdir() if path.is_dir()]


def test_what_the_page_tells_publishes_no_other_bytes_for_a_level(
    portal: Portal, cert: Path
) -> None:
    patchsets.deploy(portal, CERTS, cert)
    patchsets.deploy(portal, CERTS, cert)
    cert.write_text("another certificate")
    with pytest.raises(ArchiveError, match="published already with other bytes"):
        patchsets.deploy(portal, CERTS, cert)
    place = portal.config.patches_dir / "certs/root-ca/2.pem"
    assert place.read_text() == "a certificate"


def test_its_page_lists_what_there_is(portal: Portal, cert: Path) -> None:
    users.add(portal, "anna", PASSWORD)
    with TestClient(admin_app(portal)) as client:
        client.post("/admin/login", data={"username": "anna", "password": PASSWORD})
        assert "is not made of patchsets" in client.get("/admin/patchsets/certs").text
        patchsets.deploy(portal, CERTS, cert)
        page = client.get("/admin/patchsets/certs").text
        assert 'href="/admin/patchsets/certs/root-ca.2"' in page
        assert "Deploy an archive" not in page
        assert client.get("/admin/patchsets/certs/root-ca.2").status_code == 200


LEVEL = ReleasedLevel("root-ca", 2, "digest")
RELEASE = Release("root-ca.2", "000000002", (LEVEL,))
NUMBER: Any = 7
NUMBERED = Release(NUMBER, "1", ())
PATH = "certs/root-ca/2.pem"


@pytest.mark.parametrize(
    ("entry", "release", "error", "told"),
    [
        (Entry("root-ca.2", [PATH], "root-ca", 2), RELEASE, PluginError, "journalled root-ca.2, "),
        (Entry("certs/root-ca.3", [PATH]), RELEASE, PluginError, "its release is certs/root-ca.2"),
        (Entry("certs/root-ca.2", [PATH], "root-ca", 3), RELEASE, PluginError, "level 3 of root-"),
        (Entry("certs/root-ca.2", ["../out.pem"]), RELEASE, StorageError, "leads out of the pat"),
        (Entry("certs/root-ca.2", ["certs/../../out.pem"]), RELEASE, StorageError, "leads out of"),
        (Entry("certs/root-ca.2", [PATH]), ("root-ca.2",), PluginError, "is no Release"),
        (Entry("certs/a", [PATH]), Release("../a b", "1", ()), PluginError, "name is no word"),
        (Entry("certs/a", [PATH]), NUMBERED, PluginError, "name is no word"),
    ],
    ids=[
        "no product",
        "another",
        "another level",
        "outside",
        "around",
        "no release",
        "name",
        "number",
    ],
)
def test_a_deploy_that_contradicts_itself_is_refused_and_leaves_nothing(
    installed: Installed,
    data_dir: Path,
    cert: Path,
    entry: Entry,
    release: object,
    error: type[Exception],
    told: str,
) -> None:
    installed.plugin("shop", Shop())
    installed.plugin("wrong", Wrong(entry, release))
    portal = opened(installed.load(), data_dir)
    with db.connection():
        with pytest.raises(error) as caught:
            patchsets.deploy(portal, CERTS, cert)
        assert told in " ".join(str(caught.value).split())
        assert patchsets.all_of(CERTS) == []
    assert not list(data_dir.parent.rglob("*out.pem"))
    assert not list(data_dir.rglob("2.pem"))
    assert not [path for path in portal.storage.staging.iterdir() if path.is_dir()]


@pytest.mark.parametrize(("answer", "kept"), [(None, ""), (7, "7")])
def test_a_job_need_not_tell_what_it_did(portal: Portal, answer: object, kept: str) -> None:
    job: Any = Job("stock", 60, lambda: answer)
    assert run(job, portal.config.data_dir) == kept
