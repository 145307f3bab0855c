"""A real kernel with its headers: Debian's cloud flavour, unpacked into a cache."""

from __future__ import annotations

import fcntl
import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .debian import Apt, DebianError, require_packages, unpack

FLAVOUR = "cloud-amd64"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "realkernel"


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: ``release`` is what ``uname -r`` says, ``id`` its kernel id."""

    root: Path
    release: str
    id: str

    @property
    def image(self) -> Path:
        """What a boot loader loads."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        return self.root / "lib" / "modules" / self.release

    @property
    def headers(self) -> Path:
        """Configuration and generated headers of this flavour."""
        return self.root / "usr" / "src" / f"linux-headers-{self.release}"

    @property
    def makefile(self) -> Path:
        """The kernel's top Makefile, in the package that all flavours share."""
        common = self.release.removesuffix(FLAVOUR) + "common"
        return self.root / "usr" / "src" / f"linux-headers-{common}" / "Makefile"


def obtain(cache: Path = CACHE) -> Kernel:
    """The kernel in ``cache``; if there is none, Debian's newest is fetched first (40 MB).

    A kernel once cached stays, also offline; delete the directory to get a newer one.

    Raises:
        DebianError: a tool is not installed, or a package could not be had.
    """
    require_packages()
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / "root"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _fetch(root)
    (image,) = root.glob("boot/vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    return Kernel(root, release, _kernel_id(root, image, release))


def _fetch(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir=root.parent) as name:
        scratch = Path(name)
        apt = Apt(scratch / "apt")
        image = _only(apt, f"linux-image-{FLAVOUR}", "linux-image-")
        headers = image.replace("linux-image-", "linux-headers-", 1)
        common = _only(apt, headers, "linux-headers-")
        tools = _only(apt, headers, "linux-kbuild-")
        archives = scratch / "archives"
        archives.mkdir()
        apt.download([image, headers, common, tools], archives)
        unpacked = scratch / "root"
        unpack(sorted(archives.iterdir()), unpacked)
        unpacked.rename(root)


def _only(apt: Apt, package: str, prefix: str) -> str:
    """The one dependency of ``package`` whose name starts with ``prefix``."""
    names = [name for name in apt.depends(package) if name.startswith(prefix)]
    if len(names) != 1:
        raise DebianError(f"{package} should depend on one {prefix}*, it has {names}.")
    return names[0]


def _kernel_id(root: Path, image: Path, release: str) -> str:
    """sha1 of what ``/proc/version`` will say, known before the kernel runs.

    The kernel prints it from the same generated headers that are packaged for module builders;
    source: ``linux_proc_banner`` in init/version.c. The guest computes it anew and the test
    compares.
    """
    generated = root / "usr" / "src" / f"linux-headers-{release}" / "include" / "generated"
    text = "".join((generated / name).read_text() for name in ("compile.h", "utsversion.h"))
    defined = dict(re.findall(r'^#define (\w+)\s+"(.*)"$', text, re.MULTILINE))
    if defined["UTS_VERSION"].encode() not in image.read_bytes():
        raise DebianError(f"{image.name} and its headers are not of one build, delete {root}.")
    banner = (
        f"Linux version {release} "
        f"({defined['LINUX_COMPILE_BY']}@{defined['LINUX_COMPILE_HOST']}) "
        f"({defined['LINUX_COMPILER']}) {defined['UTS_VERSION']}\n"
    )
    return hashlib.sha1(banner.encode()).hexdigest()
