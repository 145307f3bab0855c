"""The conformance suite as strangers have it: run beside their plugin, it finds what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from eportal_core import PatchsetSpec, Product
from eportal_core.testing import examples
from eportal_core.testing.matching import writer_of

ROOT = Path(__file__).parent.parent
#: What a product of one kind may cost, from nothing to a plugin that is tested.
PRODUCT_LINES = 40

STRANGERS = """
from dataclasses import dataclass

from starlette.responses import FileResponse
from starlette.routing import Route

from eportal_core import ArchiveError, PatchsetPlugin, PatchsetSpec, Product, Setting, hookimpl
from eportal_core.testing import ProductConformance

SPEC = PatchsetSpec(
    product=Product(name="firmware", command="fw", title="Firmware", default=False),
    archive_name=r"FW-\\d{4}(0[1-9]|1[0-2])\\d{2}_\\d+",
    tree="firmware",
    target=r"[a-z]+-\\d{1,4}",
)


class Tickets:
    @hookimpl
    def eportal_settings(self):
        return [Setting("TICKET", str, "", "number of the ticket", True)]

    @hookimpl(wrapper=True)
    def eportal_deploy(self, portal, product, archive):
        if not portal.config["TICKET"]:
            raise ArchiveError("Every deploy needs a ticket.")
        return (yield)


class TestGood(ProductConformance):
    plugin = PatchsetPlugin(SPEC)


class TestWithTicket(TestGood):
    others = [Tickets()]
    settings = {"TICKET": "4711"}


class TestWithoutTicket(TestGood):
    others = [Tickets()]


class Ungated(PatchsetPlugin):
    @hookimpl
    def eportal_agent_routes(self, portal):
        (store,) = portal.stores().values()

        def serve(request):
            return FileResponse(store.file(**request.path_params))

        return [Route("/fw/{target}/{level:int}/{name}", serve)]


class TestUngated(ProductConformance):
    plugin = Ungated(SPEC)


class Untidy(PatchsetPlugin):
    @hookimpl
    def eportal_deploy(self, portal, product, archive):
        release = super().eportal_deploy(portal, product, archive)
        (portal.storage.patches_dir / "firmware" / "notes").write_text(archive.name)
        return release


class TestUntidy(ProductConformance):
    plugin = Untidy(SPEC)


class TestPuzzling(ProductConformance):
    plugin = PatchsetPlugin(PatchsetSpec(SPEC.product, r"(?=FW)FW\\d{8}_\\d+", "firmware"))


class TestExplained(TestPuzzling):
    names = ["FW20260101_01", "FW20260102_01", "FW20260103_01"]
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Class -> test -> what pytest says of it: ``PASSED``, or the line of a failure."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "test_firmware.py").write_text(STRANGERS)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    chosen = "pack_to_its_end or without_credentials"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-k", chosen, "."],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "EPORTAL"))}
        | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, dict[str, str]] = {}
    lines = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)::(\w+)(.*)$", done.stdout, re.M)
    for word, case, test, told in lines:
        found.setdefault(case, {})[test] = f"{word}{told}"
    assert found, done.stdout + done.stderr
    return found


@pytest.mark.parametrize("case", ["TestGood", "TestWithTicket", "TestExplained"])
def test_a_good_plugin_passes(outcomes: dict[str, dict[str, str]], case: str) -> None:
    assert set(outcomes[case].values()) == {"PASSED"}
    assert len(outcomes[case]) == 2


@pytest.mark.parametrize(
    ("case", "test", "told"),
    [
        ("TestUngated", "test_without_credentials_nothing_is_served", "/kpatch.bin': 200"),
        ("TestUntidy", "test_a_patchset_from_pack_to_its_end", "firmware/notes"),
        (
            "TestWithoutTicket",
            "test_a_patchset_from_pack_to_its_end",
            "Every deploy needs a ticket.",
        ),
        (
            "TestPuzzling",
            "test_a_patchset_from_pack_to_its_end",
            "set names of the test class to examples.",
        ),
    ],
)
def test_a_flaw_is_found(
    outcomes: dict[str, dict[str, str]], case: str, test: str, told: str
) -> None:
    assert not outcomes[case][test].startswith("PASSED")
    assert told in outcomes[case][test]


@pytest.mark.parametrize(
    "pattern",
    [
        r"K?\d{8}_\d+",
        r"([0-9a-f]{2}){8,32}",
        r"FW-(?:20\d{2})(0[1-9]|1[0-2])_[a-z-]{1,3}",
        r"[\w.-]+x",
        r"[]a]b?",
        r"[^a-z]{2,}",
        r"[a-]{3}",
        r"^(?P<letter>a|b)*c$",
        r"v\d+(\.\d+)??",
        r"a\.b\-c\s.",
    ],
)
def test_what_is_written_for_an_expression_matches_it(pattern: str) -> None:
    random, writer = Random(0), writer_of(pattern)
    for _ in range(100):
        text = writer(random)
        assert re.fullmatch(pattern, text), text


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"\bx", r"(a)\1", "(a", "[a", "a)", "a{2", "a\\"])
def test_an_expression_that_is_not_understood_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not understood at character"):
        writer_of(pattern)


def test_examples_that_do_not_fit_are_refused() -> None:
    product = Product(name="firmware", command="fw", title="Firmware")
    spec = PatchsetSpec(product, r"F\d{8}_\d", "firmware", target="[ab]")
    days = [f"F2026010{day}_1" for day in (1, 2, 3)]
    assert examples.names(spec, days) == days
    for given, told in (
        (["F20260101"], "is no name"),
        ([days[1], days[0], days[2]], "not in order"),
        ([days[0], days[0], days[1]], "not in order"),
        (days[:2], "2 different names"),
    ):
        with pytest.raises(ValueError, match=told):
            examples.names(spec, given)
    with pytest.raises(ValueError, match="no target"):
        examples.targets(spec, ["c"])
    # There are no more than two.
    with pytest.raises(ValueError, match="set targets of the test class"):
        examples.targets(spec)


def test_a_new_product_costs_few_lines() -> None:
    """A product of data alone: its plugin, where it is named, and its conformance test."""
    written = [
        line
        for path in sorted((ROOT / "plugins" / "qemucare").rglob("*.py"))
        for line in path.read_text().splitlines()
    ]
    named = [
        line for line in (ROOT / "pyproject.toml").read_text().splitlines() if "qemucare" in line
    ]
    others = ("dbcare", "kernelcare", "libcare")
    suite = [
        line
        for line in (ROOT / "tests" / "test_conformance.py").read_text().splitlines()
        if line and not any(other in line.lower() for other in others)
    ]
    assert any("qemucare" in line for line in suite)
    assert len(written) + len(named) + len(suite) <= PRODUCT_LINES
