"""``kc.eportal key``: what it lists, does and refuses."""

from __future__ import annotations

import re

import pytest

from eportal_core.errors import NotFound
from eportal_core.operations import feeds, keys, servers
from eportal_core.portal import Portal
from tests.support.inprocess import InProcess

#: Names that no key can have, and so none has.
BAD_NAMES = {
    "empty": "",
    "slash": "a/b",
    "up": "../key",
    "blank": "a b",
    "hidden": ".test",
    "nul": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b[2J",
    "accent": "clé",
    "not utf-8": "\udcff",
    "129 characters": "a" * 129,
    "10,000 characters": "a" * 10_000,
}
bad_names = pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())

TABLE = """\
Servers | Limit | Key | Feed | Products                  | Enabled | Note
------- + ----- + --- + ---- + ------------------------- + ------- + ---------
      2 |    10 | one | main | db, kernel, libcare, qemu | yes     | the first
      0 |     0 | two | main | db, kernel, libcare, qemu | no      |
"""


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """A portal with a feed test and a key K, that tests share: each sees that it stays as it is."""
    made = InProcess(tmp_path_factory.mktemp("settled") / "var")
    made.ok("feed", "-a", "test")
    made.ok("key", "-a", "K")
    return made


def test_a_key_without_a_name_is_16_random_letters_and_digits(kc: InProcess) -> None:
    printed = [kc.ok("key", "-a").removesuffix("\n") for _ in range(3)]
    assert len(set(printed)) == 3
    assert all(re.fullmatch("[A-Za-z0-9]{16}", key) for key in printed)
    assert [row["key"] for row in kc.json("key")] == printed


def test_documented_commands(kc: InProcess) -> None:
    kc.ok("feed", "-a", "test")
    assert kc.ok("key", "-a", "test") == "test\n"
    assert kc.ok("key", "-c", "test", "--feed", "test") == ""
    assert [(row["key"], row["feed"]) for row in kc.json("key")] == [("test", "test")]


def test_the_table_shows_servers_against_the_limit(portal: Portal, kc: InProcess) -> None:
    kc.ok("key", "-a", "one", "--note", "the first", "--server-limit", "10")
    kc.ok("key", "-a", "two", "--disable")
    for host in ("a", "b"):
        servers.register(portal, "one", host, "10.0.0.1")
    assert kc.ok("key") == TABLE
    assert kc.ok("key", "two").splitlines()[2:] == TABLE.splitlines()[3:]


def test_json_has_the_documented_fields(portal: Portal, kc: InProcess) -> None:
    feeds.add(portal, "test")
    options = ("--feed", "test", "--note", "é, ü", "--server-limit", "3", "--product", "kernel")
    kc.ok("key", "-a", "K", *options)
    servers.register(portal, "K", "a", "10.0.0.1")
    (row,) = kc.json("key", "K")
    documented = {
        "key": "K",
        "feed": "test",
        "note": "é, ü",
        "server_limit": 3,
        "products": ["kernel"],
    }
    assert documented.items() <= row.items()
    assert row.keys() - documented.keys() == {"enabled", "servers"}
    assert (row["enabled"], row["servers"]) == (True, 1)


def test_without_keys_json_is_an_empty_list(kc: InProcess) -> None:
    assert kc.ok("key", "--json").split() == ["[]"]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--note", "new"], {"note": "new"}),
        (["--note", ""], {"note": ""}),
        (["--note", "x" * 1000], {"note": "x" * 1000}),
        (["--server-limit", "0"], {"server_limit": 0}),
        (["--server-limit", "10000000"], {"server_limit": 10_000_000}),
        (["--feed", "main"], {"feed": "main"}),
        (["--default-products"], {"products": ["db", "kernel", "libcare", "qemu"]}),
        (["--product", "kernel", "--product", "kernel"], {"products": ["kernel"]}),
        (["--enable"], {"enabled": True}),
        (["--disable", "--server-limit", "1"], {"enabled": False, "server_limit": 1}),
        ([], {}),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_change_leaves_what_is_not_named(
    kc: InProcess, options: list[str], changed: dict[str, object]
) -> None:
    kc.ok("feed", "-a", "test")
    options_before = ("--feed", "test", "--note", "old", "--server-limit", "3", "--disable")
    kc.ok("key", "-a", "K", *options_before)
    (before,) = kc.json("key", "K")
    assert (before["note"], before["server_limit"], before["enabled"]) == ("old", 3, False)
    kc.ok("key", "-c", "K", *options)
    assert kc.json("key", "K") == [before | changed]


def test_a_limit_below_the_servers_there_are_removes_none(portal: Portal, kc: InProcess) -> None:
    kc.ok("key", "-a", "K")
    for host in ("a", "b"):
        servers.register(portal, "K", host, "10.0.0.1")
    kc.ok("key", "-c", "K", "--server-limit", "1")
    (row,) = kc.json("key")
    assert (row["servers"], row["server_limit"]) == (2, 1)


@pytest.mark.parametrize("name", ["1", "2shcolu7Y1x6885Q", "web@site:a+b-c_d.e", "a" * 128])
def test_names_that_are_fine(kc: InProcess, name: str) -> None:
    assert kc.ok("key", "-a", name) == f"{name}\n"
    assert [row["key"] for row in kc.json("key", name)] == [name]
    assert kc.ok("key", "-d", name) == "0 servers were deleted\n"


def test_removing_a_key_removes_its_servers_and_no_others(portal: Portal, kc: InProcess) -> None:
    for key in ("gone", "stays"):
        kc.ok("key", "-a", key)
    for host in ("a", "b"):
        servers.register(portal, "gone", host, "10.0.0.1")
    stays = servers.register(portal, "stays", "c", "10.0.0.1")
    assert kc.ok("key", "-d", "gone") == "2 servers were deleted\n"
    assert [row["key"] for row in kc.json("key")] == ["stays"]
    assert [row["id"] for row in kc.json("server")] == [stays.id]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-a", "K"], 1, "Key K exists already."),
        (["-c", "none", "--note", "x"], 1, "There is no key none."),
        (["-d", "none"], 1, "There is no key none."),
        (["none"], 1, "There is no key none."),
        (["none", "--json"], 1, "There is no key none."),
        (["-c"], 2, "the following arguments are required: key"),
        (["-d"], 2, "the following arguments are required: key"),
        (["-a", "-c", "new"], 2, "argument -c: not allowed with argument -a"),
        (["-c", "-d", "K"], 2, "argument -d: not allowed with argument -c"),
        (["-a", "new", "--feed", "none"], 1, "There is no feed none: "),
        (["-a", "new", "--feed", ""], 1, "There is no feed '': "),
        (["-c", "K", "--feed", "none"], 1, "There is no feed none: "),
        (["-c", "K", "--feed", ""], 1, "There is no feed '': "),
        (["-a", "new", "--server-limit", "-1"], 2, "a number from 0, which is no limit."),
        (["-c", "K", "--server-limit", "-1"], 2, "a number from 0, which is no limit."),
        (["-c", "K", "--server-limit", "9" * 30], 2, "a number from 0, which is no limit."),
        (["-c", "K", "--server-limit", "two"], 2, "'two' is not a valid integer"),
        (["-c", "K", "--note", "x" * 1001], 2, "The note may have 1000 printable characters"),
        (["-c", "K", "--note", "a\nb"], 2, "The note may have 1000 printable characters"),
        (["-c", "K", "--note", "a\0b"], 2, "The note may have 1000 printable characters"),
        (["-a", "new", "--note", "\udcff"], 2, "The note may have 1000 printable characters"),
        (["-c", "K", "--product", "none"], 2, "'none' is not one of 'db', 'kernel', "),
        (
            ["-c", "K", "--product", "kernel", "--default-products"],
            2,
            "argument --default-products: not allowed with argument --product",
        ),
        (["-c", "K", "--enable", "--disable"], 2, "not allowed with argument --disable"),
        (["K", "--feed", "main"], 2, "argument --feed: only allowed with -a or -c"),
        (["-d", "K", "--note", "x"], 2, "argument --note: only allowed with -a or -c"),
        (["--product", "kernel"], 2, "argument --product: only allowed with -a or -c"),
        (["-d", "K", "--json"], 2, "argument --json: not allowed with -d"),
        # The feed exists, the limit does not: not even the feed is changed.
        (["-c", "K", "--feed", "test", "--server-limit", "-1"], 2, "a number from 0"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_refusals(settled: InProcess, arguments: list[str], code: int, sentence: str) -> None:
    assert sentence in settled.refused("key", *arguments, code=code)


@bad_names
def test_a_bad_name_is_refused(settled: InProcess, name: str) -> None:
    said = settled.refused("key", "-a", name, code=2)
    assert "is no key: up to 128 letters, digits and any of . _ @ : + -" in said
    assert len(said) < 250


@bad_names
def test_a_bad_name_is_not_found(settled: InProcess, name: str) -> None:
    for option in ("-c", "-d", "--json"):
        said = settled.refused("key", option, name, code=1)
        assert said.startswith("There is no key ")
        assert said.isprintable()
        assert len(said) < 120


def test_a_product_that_no_plugin_brings_is_refused(portal: Portal) -> None:
    keys.add(portal, "K")
    with pytest.raises(NotFound, match="There is no product none"):
        keys.change(portal, "K", products=["kernel", "none"])
    assert keys.get("K").products is None
