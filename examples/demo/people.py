"""The two users of the demo, with passwords that are made up once and kept in one file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from eportal_core.operations import users
from eportal_core.portal import Portal

USERS = {"admin": "may change everything", "viewer": "may only see it"}
_FILE = "demo-passwords"


def add(portal: Portal) -> None:
    """Add the users; only whoever owns the folder may read the file."""
    made = {name: secrets.token_urlsafe(9) for name in USERS}
    descriptor = os.open(portal.config.data_dir / _FILE, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name} {password}\n" for name, password in made.items())
    for name, password in made.items():
        users.add(portal, name, password, readonly=name != "admin", note=USERS[name])


def passwords(data_dir: Path) -> dict[str, str]:
    """By user, as they were made."""
    lines = (data_dir / _FILE).read_text().splitlines()
    return {name: password for name, _, password in (line.partition(" ") for line in lines)}
