"""Where the repositories come from, and whose signature they must bear."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from eportal_core import InvalidValue, http
from eportal_esu_repo.settings import repositories

if TYPE_CHECKING:
    import requests

    from eportal_core import Portal


@dataclass(frozen=True)
class Upstream:
    """The settings of an update, checked; limits in bytes."""

    portal: Portal
    url: str
    user: str | None
    password: str | None = field(repr=False)
    key: Path
    metadata_limit: int
    package_limit: int

    def session(self) -> requests.Session:
        """A new session; it is for one thread."""
        return http.new_session(self.portal.config, self.user, self.password)

    def address(self, repository: str, path: str) -> str:
        return f"{self.url}/{quote(f'{repository}/{path}')}"


def upstream(portal: Portal) -> Upstream:
    """What the settings say of the upstream.

    Raises:
        InvalidValue: something that an update needs is not set, or cannot be.
    """
    config = portal.config
    url, key = config["ESU_URL"], config["ESU_GPG_KEY"]
    if url is None:
        raise InvalidValue("No source is set: ESU_URL must tell where the repositories are.")
    url = http.check_address(url, "ESU_URL")
    if key is None:
        raise InvalidValue(
            "ESU_GPG_KEY is not set: nothing is mirrored whose signature cannot be checked."
        )
    if not repositories(portal):
        raise InvalidValue("ESU_REPOSITORIES is empty: name the repositories below ESU_URL.")
    return Upstream(
        portal,
        url,
        config["ESU_USER"],
        config["ESU_PASSWORD"],
        Path(key),
        config["ESU_METADATA_MAX_BYTES"],
        config["ESU_PACKAGE_MAX_BYTES"],
    )
