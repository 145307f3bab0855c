"""Packages of npm that tests run: fetched once, as their lock file has them, outside this tree."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path


def installed(folder: Path, name: str) -> Path:
    """A folder with the files of ``folder`` and the packages that they ask for."""
    assert shutil.which("npm"), "npm is not installed: scripts/test installs what tests need"
    files = sorted(path for path in folder.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = caches / "eportal-tests" / f"{name}-{digest}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "done").exists():
            for path in files:
                shutil.copy(path, place)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=place, check=True, timeout=120, capture_output=True)
            (place / "done").touch()
    return place
