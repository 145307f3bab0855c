"""Portals that read a patch source, which is in a directory or behind a real nginx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from eportal_core.config import Config
from eportal_core.portal import Portal
from eportal_core.source.client import Source, open_source
from eportal_core.source.layout import Offer
from tests.support.upstreams import nginx

USER, PASSWORD = "portal", "a pass wörd"


@dataclass(frozen=True)
class Reader:
    """A portal and the settings by which it reads a source."""

    portal: Portal

    @property
    def data_dir(self) -> Path:
        return self.portal.config.data_dir

    def of(self, url: object, **settings: object) -> Reader:
        """The same portal with other settings."""
        given = {"URL": url, "USER": USER, "PASSWORD": PASSWORD, **settings}
        config = Config.of(
            self.data_dir, **{f"PATCH_SOURCE_{name}": str(value) for name, value in given.items()}
        )
        return Reader(replace(self.portal, config=config))

    @contextmanager
    def opened(self) -> Iterator[Source]:
        with open_source(self.portal) as source:
            yield source

    def refresh(self) -> list[Offer]:
        with open_source(self.portal) as source:
            return source.refresh()

    def names(self) -> list[str]:
        return [offer.name for offer in self.refresh()]


@contextmanager
def behind_nginx(folder: Path, work: Path) -> Iterator[str]:
    """The files of ``folder``, for those who know the password."""
    users = work / "users"
    work.mkdir(parents=True)
    users.write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    locations = (
        f'location / {{ root {folder}; auth_basic "source"; auth_basic_user_file {users}; }}'
    )
    with nginx(work, locations) as url:
        yield url
