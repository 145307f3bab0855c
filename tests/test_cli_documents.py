"""The command line reads as the vendor's documents show it.

The texts here are quoted from those documents; their indentation is restored where a copy lost it.
Options that are ours may stand beside the documented ones, never in their place.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from eportal_core.models import Checkin, now
from eportal_core.operations import feeds, keys, patchsets, servers
from eportal_core.portal import Portal
from tests.support.helptext import contains_in_order, parse
from tests.support.inprocess import InProcess
from tests.support.patches import KERNEL, WEB, archive

FEED = """\
usage: kc.eportal feed [-h] [-a] [-c] [--auto] [--no-auto] [--deploy-after hours]
                       [--channel {default,test}] [feed]

list available feeds by default

positional arguments:
  feed                  feed name

optional arguments:
  -h, --help            show this help message and exit
  -a                    action: add new feed
  -c                    action: change feed
  --auto                update feed automatically
  --no-auto             don't update feed automatically
  --deploy-after hours  deploy after specified hours
  --channel {default,test}
                        patchset channel to use for this feed
"""

KEY = """\
usage: kc.eportal key [-h] [-a] [-c] [--note NOTE] [--server-limit SERVER_LIMIT] [--feed FEED]
                      [--product {tuxcare-repo,db,kernel,libcare,qemu}] [--default-products]
                      [key]

list available keys by default

positional arguments:
  key                   key name

optional arguments:
  -h, --help            show this help message and exit
  -a                    action: add new key
  -c                    action: change key
  --note NOTE           key description
  --server-limit SERVER_LIMIT
                        maximum number of servers allowed
  --feed FEED           feed to associate key to
  --product {tuxcare-repo,db,kernel,libcare,qemu}
                        products available for the key, can be specified multiple times
  --default-products    set default product list (KernelCare, LibCare, DBCare, QEMUCare) for the key
"""

#: Documented for libcare and qemu; "use corresponding commands" for the kernel.
DEPLOY = """\
usage: kc.eportal kcare deploy [-h] [--feed FEED] [--disabled] archive

positional arguments:
  archive      path to archive

optional arguments:
  -h, --help   show this help message and exit
  --feed FEED  feed to deploy archive to
  --disabled   do not enable patchset after deploy
"""

LIST_SERVERS = """\
Count | Key
----- + --------------------------------
    0 | 2shcolu7Y1x6885Q
    2 | 6J89aS44j6OmTr05
"""

DEPLOYED = "2021-12-02 01:25:06,555 - eportal.patches - INFO - K04082020_1 was enabled in main"


def test_feed_help(kc: InProcess) -> None:
    ours, documented = parse(kc.ok("feed", "--help")), parse(FEED)
    # A third channel is in the documented text, not in its usage.
    channel = "--channel {default,test,unstable}"
    documented.options[channel] = documented.options.pop("--channel {default,test}")
    documented.usage[-2] = f"[{channel}]"
    assert contains_in_order(ours.usage, documented.usage)
    assert ours.description == documented.description
    assert ours.sections["positional arguments"] == documented.sections["positional arguments"]
    assert documented.options.items() <= ours.options.items()
    assert ours.options.keys() - documented.options.keys() == {"-d", "--json"}


def test_key_help(kc: InProcess) -> None:
    # One product has another name today, and still answers to the documented one.
    today = KEY.replace("{tuxcare-repo,", "{tuxcare-esu,tuxcare-repo,")
    ours, documented = parse(kc.ok("key", "--help")), parse(today)
    # Both lists are in no order that the documents explain.
    for text in (ours, documented):
        for index, token in enumerate(text.usage):
            text.usage[index] = braces_sorted(token)
        for option in list(text.options):
            text.options[braces_sorted(option)] = braces_sorted(text.options.pop(option))
    assert contains_in_order(ours.usage, documented.usage)
    assert ours.description == documented.description
    assert ours.sections["positional arguments"] == documented.sections["positional arguments"]
    assert documented.options.items() <= ours.options.items()
    added = {"-d", "--json", "--enable", "--disable"}
    assert ours.options.keys() - documented.options.keys() == added


def braces_sorted(text: str) -> str:
    """``text`` with the names between braces or parentheses in alphabetical order."""

    def sort(match: re.Match[str]) -> str:
        names = sorted(re.split(r",\s*", match[2]))
        return f"{match[1]}{','.join(names)}{match[3]}"

    return re.sub(r"([{(])([^})]*)([})])", sort, text)


def test_deploy_help(kc: InProcess) -> None:
    ours, documented = parse(kc.ok("kcare", "deploy", "--help")), parse(DEPLOY)
    assert contains_in_order(ours.usage, documented.usage)
    # More than one archive is ours.
    assert [token for token in ours.usage if token not in documented.usage] == ["[archive ...]"]
    assert ours.sections == documented.sections


@pytest.mark.parametrize("command", [[], ["feed"], ["server"], ["server", "list"], ["kcare"]])
def test_help_needs_no_portal(kc: InProcess, command: list[str]) -> None:
    assert kc.ok(*command, "-h") == kc.ok(*command, "--help")
    assert not kc.data_dir.exists()


def test_every_command_and_option_of_every_help_is_explained(kc: InProcess) -> None:
    explained = 0

    def check(*command: str) -> None:
        nonlocal explained
        text = parse(kc.ok(*command, "--help"))
        for heading, entries in text.sections.items():
            for name, sentence in entries.items():
                assert sentence, f"{' '.join(command)} {name}"
                explained += 1
                if heading == "commands":
                    check(*command, name)

    check()
    assert explained > 50


def test_alone_the_program_prints_its_help(kc: InProcess) -> None:
    assert kc.ok() == kc.ok("--help")
    commands = parse(kc.ok()).sections["commands"]
    assert {"feed", "key", "server", "kcare", "serve", "migrate"} <= commands.keys()


def test_list_servers_is_the_documented_table(portal: Portal, kc: InProcess) -> None:
    keys.add(portal, "2shcolu7Y1x6885Q")
    keys.add(portal, "6J89aS44j6OmTr05")
    for host in ("a", "b"):
        servers.register(portal, "6J89aS44j6OmTr05", host, "10.0.0.1")
    assert kc.ok("--list-servers") == LIST_SERVERS


def test_list_servers_keeps_a_key_of_digits_in_its_column(portal: Portal, kc: InProcess) -> None:
    keys.add(portal, "1234")
    assert kc.ok("--list-servers").splitlines()[2] == "    0 | 1234"


def test_list_servers_without_keys_is_an_empty_table(kc: InProcess) -> None:
    assert kc.ok("--list-servers") == "".join(LIST_SERVERS.splitlines(keepends=True)[:2])


def test_deploying_prints_the_documented_line(kc: InProcess, tmp_path: Path) -> None:
    printed = kc.ok("kcare", "deploy", archive(tmp_path, "K04082020_1", {WEB: 1}))
    moment, *rest = printed.removesuffix("\n").split(" - ")
    assert rest == DEPLOYED.split(" - ")[1:]
    assert len(moment) == len(DEPLOYED.split(" - ")[0])
    printed_at = datetime.strptime(moment, "%Y-%m-%d %H:%M:%S,%f")
    assert abs(datetime.now() - printed_at) < timedelta(minutes=1)


def test_cleaning_prints_the_documented_line(portal: Portal, kc: InProcess) -> None:
    keys.add(portal, "K")
    gone = [servers.register(portal, "K", name, "10.0.0.1") for name in ("gone1", "gone2")]
    servers.register(portal, "K", "here", "10.0.0.1")
    long_ago = now() - timedelta(days=31)
    Checkin.update(time=long_ago).where(Checkin.server.in_(gone)).execute()
    assert kc.ok("server", "clean", "--inactive") == "2 servers were deleted\n"


def test_dry_run_only_tells_which_releases_would_go(
    portal: Portal, kc: InProcess, tmp_path: Path
) -> None:
    feeds.add(portal, "test")
    for level, name in enumerate(("K16012017_1", "K04082020_1", "K20251119_03"), 1):
        patchsets.deploy(portal, KERNEL, archive(tmp_path, name, {WEB: level}))
    before = kc.ok("kcare", "list")
    would = "K16012017_1 would be deleted\nK04082020_1 would be deleted\n"
    assert kc("--clean-releases", DRY_RUN="1").out == would
    assert kc.ok("kcare", "list") == before

    printed = kc("--clean-releases", DRY_RUN="0").out
    assert [line.split(" - ")[-1] for line in printed.splitlines()] == [
        "K16012017_1 was undeployed from main",
        "K16012017_1 was deleted",
        "K04082020_1 was undeployed from main",
        "K04082020_1 was deleted",
    ]
    assert [row["patchset"] for row in kc.json("kcare", "list")] == ["K20251119_03"]
    assert kc.ok("--clean-releases") == "There are no obsolete releases\n"
