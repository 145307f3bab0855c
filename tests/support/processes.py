"""The processes of a portal, seen from outside."""

from __future__ import annotations

from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether the process is there and has not ended; one that nobody waited for has."""
    try:
        return _stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> dict[str, int]:
    """The two halves that ``kc.eportal serve`` minds: ``agent`` and ``admin`` -> process id."""
    found: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(_stat(int(folder.name))[1])
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid and b"--only" in arguments:
            found[arguments[arguments.index(b"--only") + 1].decode()] = int(folder.name)
    return found


def _stat(pid: int) -> list[str]:
    """State, parent and what follows them. Source: proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
