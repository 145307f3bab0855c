"""A guest: the real kernel in qemu, whose init runs the agent once and switches off."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .kernel import Kernel

HERE = Path(__file__).parent
#: Where Debian's busybox-static has it; linked statically, so it needs nothing else in a guest.
BUSYBOX = Path("/bin/busybox")
#: The host's loopback interface, as the guest reaches it through qemu's user network.
HOST = "10.0.2.2"
BOOT_SECONDS = 120
#: The network card and the bus it sits on.
DRIVERS = ("virtio_pci", "virtio_net")


class GuestError(RuntimeError):
    """The guest did not come to its end; the message ends with what its console showed."""


@dataclass(frozen=True)
class Guest:
    """What a guest left behind: its console, what its agent ``said``, its life in seconds."""

    console: str
    said: dict[str, str]
    seconds: float


def boot(kernel: Kernel, port: int, key: str, hostname: str) -> Guest:
    """Boot a guest that registers with ``key`` at the portal on the host's ``port``.

    Raises:
        GuestError: it hung, or its agent failed.
    """
    with tempfile.TemporaryDirectory() as name:
        initramfs = Path(name) / "initramfs"
        _write_initramfs(kernel, Path(name) / "tree", initramfs)
        parameters = f"eportal=http://{HOST}:{port} key={key} hostname={hostname}"
        started = time.monotonic()
        console = _run(_command(kernel, initramfs, parameters))
    said = dict(re.findall(r"^(\w+)=(.*)$", console, re.MULTILINE))
    if said.get("finished") != "yes":
        raise GuestError(f"The guest's agent did not finish.\n{console}")
    return Guest(console, said, time.monotonic() - started)


def _command(kernel: Kernel, initramfs: Path, parameters: str) -> list[str | Path]:
    return [
        "qemu-system-x86_64",
        # Emulation takes seconds and works everywhere. KVM does not: inside other virtual
        # machines it was seen to accept a guest and never run it.
        *("-accel", "tcg"),
        *("-m", "512"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"),
        *("-kernel", kernel.image),
        *("-initrd", initramfs),
        # A panic reboots at once, and a reboot is an end.
        *("-append", f"console=ttyS0 quiet panic=-1 {parameters}", "-no-reboot"),
        *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _run(command: list[str | Path]) -> str:
    """Run qemu to its end; what it wrote to the serial console."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=BOOT_SECONDS,
        )
    except subprocess.TimeoutExpired as expired:
        console = _text(expired.stdout or b"")
        raise GuestError(
            f"The guest was stopped after {BOOT_SECONDS} seconds.\n{console}"
        ) from None
    console = _text(ended.stdout)
    if ended.returncode != 0:
        raise GuestError(f"qemu ended with exit code {ended.returncode}.\n{console}")
    return console


def _text(console: bytes) -> str:
    return console.decode(errors="replace").replace("\r", "")


def _write_initramfs(kernel: Kernel, tree: Path, result: Path) -> None:
    """A file system of busybox, the network drivers, init and the agent."""
    for directory in ("bin", "etc", "modules"):
        (tree / directory).mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "bin")
    (tree / "bin" / "sh").symlink_to("busybox")
    shutil.copy("/etc/os-release", tree / "etc")
    shutil.copy(HERE / "agent.sh", tree)
    init = tree / "init"
    shutil.copy(HERE / "init.sh", init)
    init.chmod(0o755)
    for number, driver in enumerate(_with_dependencies(kernel)):
        shutil.copy(driver, tree / "modules" / f"{number:02}-{driver.name}")
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with result.open("wb") as file:
        subprocess.run(
            ["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet"],
            cwd=tree,
            input=names.encode(),
            stdout=file,
            check=True,
        )


def _with_dependencies(kernel: Kernel) -> list[Path]:
    """The files of ``DRIVERS``, each after the modules that it depends on.

    Source: the ``depends`` entry in a module's .modinfo section, as depmod reads it. A module
    that is not there as a file is part of the kernel image.
    """
    files = {path.stem.replace("-", "_"): path for path in kernel.modules.rglob("*.ko")}
    ordered: dict[str, Path] = {}

    def add(name: str) -> None:
        if name not in files or name in ordered:
            return
        entry = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes())
        for dependency in entry[1].decode().split(",") if entry else ():
            add(dependency)
        ordered[name] = files[name]

    for driver in DRIVERS:
        add(driver)
    return list(ordered.values())
