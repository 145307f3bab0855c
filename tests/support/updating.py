"""A portal below a patch source: commands that know of it, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.inprocess import Done, InProcess
from tests.support.publishing import Publisher
from tests.support.upstreams import nginx


@dataclass(frozen=True)
class Below:
    """``kc.eportal`` of a portal with these settings, by their names without prefix."""

    kc: InProcess
    settings: dict[str, str]

    @property
    def environ(self) -> dict[str, str]:
        return {f"EPORTAL_{name}": value for name, value in self.settings.items()}

    def __call__(self, *arguments: object, **settings: object) -> Done:
        more = {f"EPORTAL_{name}": str(value) for name, value in settings.items()}
        return self.kc(*arguments, **{**self.environ, **more})

    def ok(self, *arguments: object, **settings: object) -> list[str]:
        """What was logged or printed, line by line, without times and names of loggers."""
        done = self(*arguments, **settings)
        assert (done.code, done.err) == (0, ""), done
        return said(done)

    def states(self, feed: str = "main", command: str = "kcare", *options: str) -> dict[str, str]:
        told = self.kc.ok(command, "list", "--feed", feed, *options, "--json", **self.environ)
        rows = json.loads(told)
        return {row["patchset"]: row["status"] for row in rows}


def said(done: Done) -> list[str]:
    return [line.split(" - ", 3)[-1] for line in done.out.splitlines()]


@contextmanager
def by_nginx(publisher: Publisher, folder: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """The source behind a real nginx that wants a password: settings of readers, and its log."""
    folder.mkdir()
    (folder / "users").write_text("portal:{PLAIN}let me in\n")
    log = folder / "access.log"
    locations = (
        f"location / {{ root {publisher.folder}; access_log {log};"
        f" auth_basic source; auth_basic_user_file {folder}/users; }}"
    )
    with nginx(folder, locations) as url:
        yield (
            {
                "PATCH_SOURCE_URL": url,
                "PATCH_SOURCE_ROOT": str(publisher.root),
                "PATCH_SOURCE_USER": "portal",
                "PATCH_SOURCE_PASSWORD": "let me in",
            },
            log,
        )
