"""The real command ``kc.eportal``, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = str(Path(sys.executable).with_name("kc.eportal"))


@dataclass(frozen=True)
class CommandLine:
    """Runs ``kc.eportal`` on one data directory; ``program`` is that of another environment."""

    data_dir: Path
    settings: dict[str, str]
    program: str = PROGRAM

    @property
    def environ(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EPORTAL_")}
        return {
            **clean,
            "EPORTAL_DATA_DIR": str(self.data_dir),
            "COLUMNS": "100",
            **{f"EPORTAL_{name}": value for name, value in self.settings.items()},
        }

    def __call__(self, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run to the end; the exit code is the caller's to look at."""
        return subprocess.run(
            [self.program, *map(str, arguments)],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ok(self, *arguments: object, **environ: str) -> str:
        """Standard output of a command that must succeed."""
        done = self(*arguments, **environ)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self.ok(*arguments, "--json"))
