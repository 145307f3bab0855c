"""``kc.eportal feed``: what it lists, does and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from eportal_core.operations import keys, patchsets, servers
from eportal_core.portal import Portal
from tests.support.inprocess import InProcess
from tests.support.patches import KERNEL, WEB, archive

MAIN = {"name": "main", "auto": False, "deploy_after": 0, "channel": "default"}

#: Names that no feed can have, and so none has.
BAD_NAMES = {
    "empty": "",
    "slash": "a/b",
    "up": "../main",
    "dots": "..",
    "blank": "a b",
    "hidden": ".test",
    "nul": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b[2J",
    "accent": "tést",
    "not utf-8": "\udcff",
    "65 characters": "a" * 65,
    "10,000 characters": "a" * 10_000,
}
bad_names = pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """A portal with a feed test, that tests share: each sees that it stays as it is."""
    made = InProcess(tmp_path_factory.mktemp("settled") / "var")
    made.ok("feed", "-a", "test")
    return made


def test_a_fresh_portal_has_main_alone(kc: InProcess) -> None:
    assert kc.json("feed") == [MAIN]


def test_documented_commands(kc: InProcess) -> None:
    assert kc.ok("feed", "-a", "test", "--auto") == ""
    assert kc.ok("feed", "-c", "test", "--deploy-after", "12") == ""
    assert kc.ok("feed") == (
        "Feed | Auto | Deploy after | Channel\n"
        "---- + ---- + ------------ + -------\n"
        "main | no   |            0 | default\n"
        "test | yes  |           12 | default\n"
    )


def test_json_lists_main_first_then_by_name(kc: InProcess) -> None:
    kc.ok("feed", "-a", "b", "--channel", "unstable")
    kc.ok("feed", "-a", "a", "--auto", "--deploy-after", "8760", "--channel", "test")
    assert kc.json("feed") == [
        MAIN,
        {"name": "a", "auto": True, "deploy_after": 8760, "channel": "test"},
        {"name": "b", "auto": False, "deploy_after": 0, "channel": "unstable"},
    ]
    assert kc.json("feed", "b") == [kc.json("feed")[2]]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--no-auto"], {"auto": False}),
        (["--deploy-after", "0"], {"deploy_after": 0}),
        (["--channel", "default"], {"channel": "default"}),
        (["--no-auto", "--deploy-after", "3"], {"auto": False, "deploy_after": 3}),
        ([], {}),
    ],
)
def test_change_leaves_what_is_not_named(
    kc: InProcess, options: list[str], changed: dict[str, object]
) -> None:
    kc.ok("feed", "-a", "test", "--auto", "--deploy-after", "12", "--channel", "test")
    (before,) = kc.json("feed", "test")
    kc.ok("feed", "-c", "test", *options)
    assert kc.json("feed", "test") == [before | changed]


def test_main_may_be_delayed(kc: InProcess) -> None:
    kc.ok("feed", "-c", "main", "--deploy-after", "24", "--no-auto")
    assert kc.json("feed") == [MAIN | {"deploy_after": 24}]


@pytest.mark.parametrize("name", ["a", "2", "Feed.of-the_year", "a" * 64])
def test_names_that_are_fine(kc: InProcess, name: str) -> None:
    kc.ok("feed", "-a", name)
    assert [row["name"] for row in kc.json("feed")] == ["main", name]
    kc.ok("feed", "-d", name)
    assert kc.json("feed") == [MAIN]


def test_removing_a_feed_moves_its_keys_to_main(portal: Portal, kc: InProcess) -> None:
    for name in ("test", "other"):
        kc.ok("feed", "-a", name)
    for key, feed in (("K1", "test"), ("K2", "test"), ("K3", "other")):
        kc.ok("key", "-a", key, "--feed", feed, "--note", key)
    server = servers.register(portal, "K1", "web1", "10.0.0.1")

    assert kc.ok("feed", "-d", "test") == "2 keys were moved to main\n"

    assert [row["name"] for row in kc.json("feed")] == ["main", "other"]
    feeds_of = {row["key"]: (row["feed"], row["note"]) for row in kc.json("key")}
    assert feeds_of == {"K1": ("main", "K1"), "K2": ("main", "K2"), "K3": ("other", "K3")}
    assert [(row["id"], row["feed"]) for row in kc.json("server")] == [(server.id, "main")]


def test_a_feed_of_a_removed_ones_name_starts_empty(
    portal: Portal, kc: InProcess, tmp_path: Path
) -> None:
    kc.ok("feed", "-a", "test")
    patchsets.deploy(portal, KERNEL, archive(tmp_path, "K20250101_01", {WEB: 1}), feed="test")
    assert kc.ok("feed", "-d", "test") == "0 keys were moved to main\n"
    kc.ok("feed", "-a", "test")
    (patchset,) = kc.json("kcare", "list")
    assert patchset["feeds"] == {"main": "undeployed", "test": "undeployed"}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-d", "main"], 2, "Feed main cannot be removed."),
        (
            ["-c", "main", "--auto"],
            2,
            "Feed main cannot be updated automatically; add another feed.",
        ),
        (["-a", "main"], 1, "Feed main exists already."),
        (["-a", "admin"], 2, "A feed cannot be named admin: paths of the portal begin with it."),
        (["-a", "test"], 1, "Feed test exists already."),
        (["-c", "none", "--auto"], 1, "There is no feed none: "),
        (["-d", "none"], 1, "There is no feed none: "),
        (["none"], 1, "There is no feed none: "),
        (["none", "--json"], 1, "There is no feed none: "),
        (["-a"], 2, "the following arguments are required: feed"),
        (["-c", "--auto"], 2, "the following arguments are required: feed"),
        (["-d"], 2, "the following arguments are required: feed"),
        (["-a", "-c", "new"], 2, "argument -c: not allowed with argument -a"),
        (["-a", "-d", "new"], 2, "argument -d: not allowed with argument -a"),
        (["-c", "-d", "test"], 2, "argument -d: not allowed with argument -c"),
        (["-a", "new", "--auto", "--no-auto"], 2, "not allowed with argument --auto"),
        (["-a", "new", "--deploy-after", "-1"], 2, "a number of hours from 0 to 8760."),
        (["-c", "test", "--deploy-after", "-1"], 2, "a number of hours from 0 to 8760."),
        (["-c", "test", "--deploy-after", "8761"], 2, "a number of hours from 0 to 8760."),
        (["-c", "test", "--deploy-after", "9" * 30], 2, "a number of hours from 0 to 8760."),
        (["-c", "test", "--deploy-after", "1.5"], 2, "'1.5' is not a valid integer"),
        (["-c", "test", "--deploy-after", ""], 2, "'' is not a valid integer"),
        (["-c", "test", "--channel", "beta"], 2, "'default', 'test', 'unstable'"),
        (["test", "--auto"], 2, "argument --auto: only allowed with -a or -c"),
        (["-d", "test", "--channel", "test"], 2, "argument --channel: only allowed with -a or -c"),
        (["-a", "new", "--json"], 2, "argument --json: not allowed with -a"),
        (["-a", "new", "too", "many"], 2, "unexpected extra arguments"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_refusals(settled: InProcess, arguments: list[str], code: int, sentence: str) -> None:
    assert sentence in settled.refused("feed", *arguments, code=code)


@bad_names
def test_a_bad_name_is_refused(settled: InProcess, name: str) -> None:
    said = settled.refused("feed", "-a", name, code=2)
    assert "is no feed name: up to 64 letters, digits, dots, dashes and underscores" in said
    assert len(said) < 250


@bad_names
def test_a_bad_name_is_not_found(settled: InProcess, name: str) -> None:
    for option in ("-c", "-d", "--json"):
        said = settled.refused("feed", option, name, code=1)
        assert said.startswith("There is no feed ")
        assert said.isprintable()
        assert len(said) < 130


def test_removing_a_feed_removes_nothing_else(portal: Portal, kc: InProcess) -> None:
    kc.ok("feed", "-a", "test")
    keys.add(portal, "K", feed="test")
    servers.register(portal, "K", "web1", "10.0.0.1")
    before = [row | {"feed": "main"} for row in kc.json("server")]
    kc.ok("feed", "-d", "test")
    assert kc.json("server") == before
