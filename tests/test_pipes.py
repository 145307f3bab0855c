"""Whoever reads what a command prints may stop reading: it ends quietly, and its work is done."""

from __future__ import annotations

import subprocess
from pathlib import Path

from eportal_core import db
from eportal_core.operations import keys
from eportal_core.portal import Portal
from tests.support.commands import PROGRAM, CommandLine
from tests.support.inprocess import InProcess
from tests.support.patches import WEB, archive


def with_reader(cli: CommandLine, command: str) -> subprocess.CompletedProcess[str]:
    """Run ``kc.eportal <command>``, of which nobody reads the output."""
    script = f"exec 3>&1; {{ {PROGRAM} {command}; echo $? >&3; }} | exec true"
    return subprocess.run(
        ["bash", "-c", script], env=cli.environ, capture_output=True, text=True, check=False
    )


def test_a_listing_that_nobody_reads_ends_quietly(portal: Portal, cli: CommandLine) -> None:
    keys.add(portal, "web")
    for command in ("key", "key --json", "--help"):
        done = with_reader(cli, command)
        assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_long_listing_that_nobody_reads_ends_quietly(portal: Portal, cli: CommandLine) -> None:
    with db.database.atomic():
        for number in range(1000):
            keys.add(portal, f"key-{number}", note="x" * 200)
    done = with_reader(cli, "key")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_deploy_whose_log_nobody_reads_is_done(
    portal: Portal, cli: CommandLine, kc: InProcess, tmp_path: Path
) -> None:
    names = [f"K2026010{number}_01" for number in range(1, 4)]
    paths = [archive(tmp_path, name, {WEB: level}) for level, name in enumerate(names, 1)]
    done = with_reader(cli, f"kcare deploy {' '.join(map(str, paths))}")
    assert done.stderr == ""
    assert [row["patchset"] for row in kc.json("kcare", "list")] == names
