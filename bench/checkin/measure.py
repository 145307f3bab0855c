"""What a server's whole process tree costs: CPU, memory, and how often it waits for the disk."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

# The fields of /proc/PID/stat after the command's name, see proc(5).
PARENT, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM, RESIDENT = 1, 11, 12, 13, 14, 21


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold blanks and brackets; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid: int) -> list[int]:
    """``pid`` and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[PARENT]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return found


def cpu(pid: int) -> float:
    """Seconds of CPU, user and system, that the tree has used, ended children included."""
    ticks = 0
    for one in tree(pid):
        fields = _stat(one)
        if fields:
            ticks += sum(
                int(fields[field]) for field in (USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM)
            )
    return ticks / TICKS


def resident(pid: int) -> int:
    """Bytes of resident memory, summed over the tree: what processes share counts for each."""
    return sum(int(fields[RESIDENT]) * PAGE for one in tree(pid) if (fields := _stat(one)))


def ended_children() -> float:
    """Seconds of CPU of the children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def busy(core: int) -> float:
    """Seconds that ``core`` has spent on anything since the machine started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, hard, soft, steal = map(int, fields[:8])
            return (user + nice + system + hard + soft + steal) / TICKS
    raise ValueError(f"there is no core {core}")


@dataclass
class DiskCalls:
    """syncs: fsync and fdatasync. opens: of a file called ``*.db`` or ``*.sqlite``."""

    syncs: int = 0
    opens: int = 0


@contextmanager
def disk_calls(pid: int, log: Path) -> Iterator[DiskCalls]:
    """Count the system calls of the tree while the block runs; filled in when it ends."""
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync,open,openat", "-o", str(log)]
    family = tree(pid)
    for one in family:
        command += ["-p", str(one)]
    counted = DiskCalls()
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr is not None
        # It says "Process N attached" for each once it sees all of its threads.
        for _ in family:
            if "attached" not in tracer.stderr.readline():
                raise SystemExit("strace may not attach to the server here (ptrace is restricted)")
        yield counted
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)
    for line in log.read_text().splitlines():
        if "resumed>" in line:
            continue
        if re.search(r"\bf(data)?sync\(", line):
            counted.syncs += 1
        elif re.search(r"\bopen(at)?\(.*\.(db|sqlite)\b", line):
            counted.opens += 1
