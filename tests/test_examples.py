"""Strangers' plugins: those in ``examples/``, and broken ones, installed as users do it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import termios
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import requests

from tests.support.clean import ROOT, CleanEnvironment, portal_wheel
from tests.support.commands import CommandLine
from tests.support.patches import WEB, archive
from tests.support.polling import eventually
from tests.support.serving import Served, free_ports, serving
from tests.support.tutorial import Code, Shell, agrees, steps, write

EXAMPLES = ROOT / "examples"
NO_TICKET = "A deploy needs a ticket: set EPORTAL_TICKET to one such as CHG-1234."
PASSWORD = "corréct horse: battery"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portal_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """An environment with the portal and both examples."""
    made = CleanEnvironment.make(tmp_path_factory.mktemp("clean") / "venv")
    made.install(wheel, EXAMPLES / "eportal-firmware", EXAMPLES / "eportal-auth-file")
    return made


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """An environment with the portal alone."""
    made = CleanEnvironment.make(tmp_path_factory.mktemp("bare") / "venv")
    made.install(wheel)
    return made


@pytest.fixture
def kc(clean: CleanEnvironment, data_dir: Path) -> CommandLine:
    """``kc.eportal`` with the examples."""
    return CommandLine(data_dir, {}, str(clean.program("kc.eportal")))


@pytest.fixture(scope="module")
def packed(clean: CleanEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A firmware archive for two models; one has a name that is markup."""
    folder = tmp_path_factory.mktemp("packed")
    for model, level in (("nic-x1", 1), ("ssd-9", 4)):
        place = folder / "content" / model / str(level)
        place.mkdir(parents=True)
        (place / "image.bin").write_text(f"image {level} for {model}")
    (folder / "content/patchset.json").write_text(
        '{"targets": {"nic-x1": {"name": "<script>X1</script>"}}}'
    )
    made = folder / "F20260915_01.tar.bz2"
    clean.run("kc.eportal", "fw", "pack", folder / "content", "-o", made)
    return made


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a command that failed as users may see it fail."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1].partition(": error: ")[2]


def user_line(kc: CommandLine, user: str, password: str) -> str:
    """What ``auth-file`` prints when the password is typed on a terminal; it is not shown there."""
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [kc.program, "auth-file", user],
        env=kc.environ,
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"Password" not in shown:
        shown += os.read(ours, 1000)
    # What is typed before the terminal stops to echo would be shown.
    eventually(lambda: not _echoes(ours))
    os.write(ours, f"{password}\n".encode())
    line, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    os.set_blocking(ours, False)
    with suppress(OSError):
        shown += os.read(ours, 1000)
    os.close(ours)
    assert password.encode() not in shown
    return line


def _echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_the_portal_shows_what_the_examples_bring(kc: CommandLine) -> None:
    rows = {row["name"]: row for row in kc.json("plugins")}
    assert {row["problem"] for row in rows.values()} == {""}
    brought = {name: row["distribution"] for name, row in rows.items()}
    assert brought["firmware"] == brought["firmware_extras"] == "eportal-firmware"
    assert brought["tickets"] == "eportal-firmware"
    assert brought["auth_file"] == "eportal-auth-file"
    assert brought["kernelcare"] == "eportal"
    text = kc.ok("--help")
    assert "  fw                 manage Firmware patchsets\n" in text
    assert "  fw-models          list models\n" in text
    assert "  auth-file          make a line\n" in text
    assert "TICKET = None  # default" in kc.ok("config")


def test_no_product_is_deployed_without_a_ticket(
    kc: CommandLine, packed: Path, tmp_path: Path
) -> None:
    kernel = archive(tmp_path, "K20260101_01", {WEB: 1})
    kc.ok("feed")
    before = sorted(kc.data_dir.rglob("*"))
    assert refused(kc("fw", "deploy", packed)) == NO_TICKET
    for wrong in ("CHG-12 34", "CHG-1\nx"):
        assert refused(kc("kcare", "deploy", kernel, EPORTAL_TICKET=wrong)) == NO_TICKET
    assert sorted(kc.data_dir.rglob("*")) == before
    assert kc.json("kcare", "list") == kc.json("fw", "list") == []


def test_a_ticket_allows_the_deploy_of_every_product(
    kc: CommandLine, packed: Path, tmp_path: Path
) -> None:
    kernel = archive(tmp_path, "K20260101_01", {WEB: 1})
    for command, path in (("fw", packed), ("kcare", kernel)):
        said = kc.ok(command, "deploy", path, EPORTAL_TICKET="CHG-1234")
        assert f"{path.name.partition('.')[0]} was enabled in main" in said
    assert (kc.data_dir / "firmware/nic-x1/1/image.bin").read_text() == "image 1 for nic-x1"
    assert kc.ok("fw-models") == "nic-x1 1\nssd-9 4\n"
    # To take one back needs no ticket.
    kc.ok("fw", "unroll", "--delete", "F20260915_01")
    assert not (kc.data_dir / "firmware").exists()
    assert kc.ok("fw-models") == ""


def test_the_check_tells_whether_there_is_firmware(kc: CommandLine, packed: Path) -> None:
    bad = kc("doctor")
    assert bad.returncode == 1
    assert "BAD firmware: 0 models have it\n    Deploy some: kc.eportal fw\n" in bad.stdout
    kc.ok("fw", "deploy", packed, EPORTAL_TICKET="CHG-1")
    assert "ok  firmware: 2 models have it\n" in kc.ok("doctor")


def test_archive_names_are_the_products_own(kc: CommandLine, packed: Path, tmp_path: Path) -> None:
    other = tmp_path / "K20260915_01.tar.bz2"
    other.write_bytes(packed.read_bytes())
    done = kc("fw", "deploy", other, EPORTAL_TICKET="CHG-1")
    assert done.returncode == 1
    assert "'K20260915_01' is not a name of a Firmware patchset." in done.stderr
    assert kc.json("fw", "list") == []


@pytest.fixture(scope="module")
def portal(
    clean: CleanEnvironment, packed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A real portal with the examples, firmware for two models, and the users of a file."""
    data_dir = tmp_path_factory.mktemp("served") / "var"
    kc = CommandLine(data_dir, {}, str(clean.program("kc.eportal")))
    kc.ok("fw", "deploy", packed, EPORTAL_TICKET="CHG-1")
    kc.ok("key", "-a", "lab", "--product", "firmware")
    kc.ok("key", "-a", "web", "--product", "kernel")
    users = data_dir / "users"
    users.write_text(user_line(kc, "anna", PASSWORD))
    users.chmod(0o600)
    with serving(data_dir, program=kc.program, AUTH_FILE=str(users)) as served:
        yield served


def test_agents_fetch_firmware_with_a_key_that_has_it(portal: Served) -> None:
    nas, web = portal.register("lab", "nas1"), portal.register("web", "web1")
    answers = {
        "/fw/nic-x1/latest": "1",
        "/fw/nic-x1/1/image.bin": "image 1 for nic-x1",
        "/main/fw/ssd-9/4/image.bin": "image 4 for ssd-9",
        "/fw-models.json": '{"nic-x1":1,"ssd-9":4}',
    }
    for path, text in answers.items():
        url = f"{portal.url}{path}"
        got = requests.get(url, auth=(nas, ""), timeout=60)
        assert (got.status_code, got.text) == (200, text), path
        assert requests.get(url, auth=(web, ""), timeout=60).status_code == 403
        assert requests.get(url, timeout=60).status_code == 401
    for path in ("/fw/nic-x1/4/image.bin", "/fw/nic-x1/1/other.bin", "/fw/nic-x2/latest"):
        assert requests.get(f"{portal.url}{path}", auth=(nas, ""), timeout=60).status_code == 404


def test_the_page_is_for_users_of_the_file(portal: Served) -> None:
    page, whoami = f"{portal.url}/admin/firmware", f"{portal.url}/admin/api/whoami"
    anna = ("anna", PASSWORD.encode())
    for url in (page, whoami):
        for wrong in (None, ("anna", "wrong"), ("anna", ""), ("bert", PASSWORD.encode())):
            got = requests.get(url, auth=wrong, timeout=60)
            assert got.status_code == 401, wrong
            assert got.headers["www-authenticate"] == 'Basic realm="ePortal"'
            assert "nic" not in got.text
    shown = requests.get(page, auth=anna, timeout=60)
    assert shown.status_code == 200
    assert "&lt;script&gt;X1&lt;/script&gt;<br>ssd-9" in shown.text
    assert "<script" not in shown.text
    assert requests.get(whoami, auth=anna, timeout=60).json() == {
        "username": "anna",
        "backend": "file",
        "readonly": True,
        "means": "password",
    }
    index = requests.get(f"{portal.url}/admin/", timeout=60).text
    assert '<a href="/admin/firmware">Firmware</a>' in index


@pytest.fixture
def users(portal: Served) -> Iterator[Path]:
    """The file of users, which is as it was afterwards."""
    file = portal.cli.data_dir / "users"
    before = file.read_text()
    yield file
    file.write_text(before)
    file.chmod(0o600)


def test_only_whole_lines_of_a_private_file_let_anybody_in(portal: Served, users: Path) -> None:
    line = users.read_text().strip()
    name, role, salt, key = line.split(":")

    names = (f"anna{number}" for number in count())

    def asked(text: str) -> requests.Response:
        # Of one name, no more than a few may be wrong.
        fresh = next(names)
        users.write_text(text.replace("anna", fresh))
        url = f"{portal.url}/admin/api/whoami"
        return requests.get(url, auth=(fresh, PASSWORD.encode()), timeout=60)

    assert asked(f"# users\n\nbert\n{line}\n").json()["readonly"] is True
    assert asked(f"{name}:admin:{salt}:{key}").json()["readonly"] is False
    shapes = (
        f"{name}::{salt}:{key}",
        f"{name}:root:{salt}:{key}",
        f"{name}:{role}:{salt}",
        f"{name}:{role}:{salt}:{key}:",
        f" {line}",
        f"bert:{role}:{salt}:{key}",
        "\xff\xfe",
    )
    assert asked("\n".join(shapes)).status_code == 401
    for bad in ("", key[:-1], key.upper(), "0" * len(key)):
        assert asked(f"{name}:{role}:{salt}:{bad}").status_code == 401, bad
    assert asked(f"{line}\n{name}:{role}:{salt}:").status_code == 401
    assert asked(line).status_code == 200
    users.chmod(0o640)
    shared = asked(line)
    assert shared.status_code == 401
    assert "set its mode to 0600" in shared.json()["detail"]
    users.unlink()
    missing = requests.get(
        f"{portal.url}/admin/api/whoami", auth=("anna", PASSWORD.encode()), timeout=10
    )
    assert missing.status_code == 507
    assert "No such file" in missing.json()["detail"]


def test_a_users_line_holds_no_password_and_differs_each_time(kc: CommandLine) -> None:
    lines = {user_line(kc, "anna", PASSWORD) for _ in range(2)}
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("anna:readonly:")
        assert line.count("\n") == 1
        assert PASSWORD not in line


def test_the_examples_pass_the_conformance_suite(clean: CleanEnvironment, tmp_path: Path) -> None:
    """As their author runs it: in the environment that they are installed in."""
    said = clean.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
        "--rootdir", tmp_path, EXAMPLES / "eportal-firmware/tests",
    )  # fmt: skip
    assert " passed" in said
    assert "skipped" not in said


def test_the_tutorial_can_be_followed(bare: CleanEnvironment, tmp_path: Path) -> None:
    """Every piece of code is written and every command typed, in the order of docs/plugins.md."""
    port, admin_port = free_ports(2)
    environ = {
        **bare.environ,
        "EPORTAL_DATA_DIR": str(tmp_path / "var"),
        "EPORTAL_PORT": str(port),
        "EPORTAL_ADMIN_PORT": str(admin_port),
        "COLUMNS": "100",
    }
    shell = Shell(tmp_path, environ, port)
    try:
        for step in steps((ROOT / "docs/plugins.md").read_text()):
            if isinstance(step, Code):
                write(tmp_path, step)
            else:
                said = shell.type(step.line)
                assert agrees(step.expected, said), f"$ {step.line}\n{said}"
    finally:
        shell.close()
    for example in EXAMPLES.glob("eportal-*/**/*.py"):
        assert (tmp_path / example.relative_to(EXAMPLES)).read_text() == example.read_text()


BROKEN = {
    "raises": (
        "raise RuntimeError('no such device')",
        "It cannot be imported: RuntimeError: no such device.",
    ),
    "misspelt": (
        "from eportal_core import hookimpl\n@hookimpl\ndef eportal_chekcs(portal): ...",
        "It implements eportal_chekcs, which is no hook; did you mean eportal_checks?",
    ),
    "greedy": (
        "from eportal_core import hookimpl\n@hookimpl\ndef eportal_checks(portal, disk): ...",
        "disk",
    ),
}
"""What each brings to a folder of distributions, and what the portal says of it."""

SPEC = (
    "from eportal_core import PatchsetPlugin, PatchsetSpec, Product\n"
    "plugin = PatchsetPlugin(PatchsetSpec(Product({product!r}, {command!r}, 'Mine'), "
    "'M[0-9]+', {tree!r}))\n"
)
TAKEN = {
    "product": (
        SPEC.format(product="kernel", command="mine", tree="mine"),
        ":plugin",
        "plugins",
        "The product kernel is brought by plugin kernelcare and by plugin mine; "
        "uninstall or rename one.",
    ),
    "command": (
        SPEC.format(product="mine", command="feed", tree="mine"),
        ":plugin",
        "plugins",
        "The command feed is brought by the core and by plugin mine; uninstall or rename one.",
    ),
    "folder": (
        SPEC.format(product="mine", command="mine", tree="resources"),
        ":plugin",
        "serve",
        "The folder resources is brought by plugin kernelcare and by plugin mine; "
        "uninstall or rename one.",
    ),
    "page": (
        "from eportal_core import Page, hookimpl\n@hookimpl\ndef eportal_navigation(portal):\n"
        "    return [Page('Firmware', '/admin/mine')]\n",
        "",
        "serve",
        "The page 'Firmware' is brought by plugin firmware_extras and by plugin mine; "
        "uninstall or rename one.",
    ),
}
"""A distribution's module, what its entry point adds to it, the command that meets the collision,
and what it says."""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """An empty folder for a distribution."""
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def project(folder: Path, **modules: tuple[str, str]) -> Path:
    """A distribution ``eportal-mine``: for each plugin its source, and the object in it."""
    for name, (source, _) in modules.items():
        (folder / f"mine_{name}.py").write_text(source)
    points = "".join(f'{name} = "mine_{name}{rest}"\n' for name, (_, rest) in modules.items())
    files = ", ".join(f'"mine_{name}.py"' for name in modules)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "eportal-mine"\nversion = "2.0"\ndependencies = ["eportal>=0.1,<0.2"]\n'
        f"[project.entry-points.eportal]\n{points}"
        f"[tool.hatch.build.targets.wheel]\ninclude = [{files}]\n"
    )
    return folder


def installed_beside(clean: CleanEnvironment, folder: Path) -> dict[str, str]:
    """Install a distribution for one test; returns what makes an environment have it too."""
    place = folder / "site"
    clean.run("pip", "install", "-q", "--no-deps", "--target", place, folder)
    return {"PYTHONPATH": str(place)}


def test_a_plugin_that_cannot_be_used_is_set_aside(
    clean: CleanEnvironment, kc: CommandLine, mine: Path, packed: Path
) -> None:
    modules = {name: (source, "") for name, (source, _) in BROKEN.items()}
    path = installed_beside(clean, project(mine, **modules))
    rows = {row["name"]: row for row in json.loads(kc.ok("plugins", "--json", **path))}
    doctor = kc("doctor", **path)
    assert doctor.returncode == 1
    for name, (_, sentence) in BROKEN.items():
        assert rows[name]["distribution"] == "eportal-mine"
        assert rows[name]["version"] == "2.0"
        assert sentence in rows[name]["problem"]
        assert f"BAD plugin {name}: {rows[name]['problem']}\n" in doctor.stdout
    assert "Repair or uninstall the distribution eportal-mine." in doctor.stdout
    needed = kc("feed", EPORTAL_REQUIRED_PLUGINS="raises", **path)
    assert refused(needed) == f"REQUIRED_PLUGINS names raises: {rows['raises']['problem']}"
    # The others work as if it were not there.
    kc.ok("fw", "deploy", packed, EPORTAL_TICKET="CHG-1", **path)
    assert kc.ok("fw-models", **path) == "nic-x1 1\nssd-9 4\n"


@pytest.mark.parametrize("what", TAKEN)
def test_a_plugin_that_takes_a_name_stops_the_start(
    clean: CleanEnvironment, kc: CommandLine, mine: Path, what: str
) -> None:
    source, rest, command, sentence = TAKEN[what]
    path = installed_beside(clean, project(mine, mine=(source, rest)))
    port, admin_port = map(str, free_ports(2))
    done = kc(command, EPORTAL_PORT=port, EPORTAL_ADMIN_PORT=admin_port, **path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"kc.eportal: error: {sentence}\n" in done.stderr
