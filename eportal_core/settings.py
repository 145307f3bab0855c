"""What a setting is, and the settings of the core; docs/settings.md is generated from them.

A plugin declares its own settings as the same values; ``eportal_core.config`` reads all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Setting:
    """One thing an operator may set, in the file or as ``EPORTAL_<name>``.

    name: UPPER_CASE, unique among the core and all plugins.
    type: bool, int, float, str or list (of str).
    default: a value of that type, or None for "not set", which is then a legal value too.
    help: one or two sentences for operators, with the unit.
    secret: never shown once set.
    minimum, maximum: the bounds of a number, both inclusive.
    absolute: a text that must be an absolute path.
    """

    name: str
    type: type
    default: object
    help: str
    secret: bool = False
    minimum: float | None = None
    maximum: float | None = None
    absolute: bool = False


CORE: Final = (
    Setting(
        "DATA_DIR",
        str,
        "/var/lib/eportal",
        "Directory of everything the portal keeps: the database, its own state and, unless "
        "PATCHES_DIR moves them, archives and patches.",
        absolute=True,
    ),
    Setting(
        "PATCHES_DIR",
        str,
        None,
        "Directory of the large part: arch/ and the trees of patches. Not set, it is DATA_DIR.",
        absolute=True,
    ),
    Setting("HOST", str, "127.0.0.1", "Address the portal listens on."),
    Setting("PORT", int, 8142, "TCP port the portal listens on.", minimum=1, maximum=65535),
    Setting(
        "ADMIN_PORT",
        int,
        8143,
        "TCP port of the admin process on 127.0.0.1; the agent process passes /admin on to it.",
        minimum=1,
        maximum=65535,
    ),
    Setting(
        "TRUSTED_PROXIES",
        list,
        ["127.0.0.1", "::1"],
        "Addresses of proxies whose X-Forwarded-For, X-Forwarded-Proto and Host are believed.",
    ),
    Setting(
        "PORTAL_URL",
        str,
        None,
        "Address by which agents reach the portal, for example https://eportal.example.com. Not "
        "set, it is taken from each request.",
    ),
    Setting(
        "REQUIRED_PLUGINS", list, [], "Names of plugins without which the portal must not start."
    ),
    Setting(
        "CLEAN_INACTIVE_SERVERS_PERIOD",
        int,
        None,
        "Seconds between two removals of inactive servers, for example 3600 * 24 for once a day. "
        "Nothing is removed before the portal has listened for five hours, in which every server "
        "that lives has checked in. Not set, they are never removed by themselves.",
        minimum=60,
    ),
    Setting(
        "INACTIVE_SERVER_AGE",
        int,
        30 * 24 * 3600,
        "Seconds of silence after which a server is inactive; the default is 30 days.",
        minimum=3600,
    ),
    Setting(
        "ARCHIVE_MAX_FILES",
        int,
        200_000,
        "Number of members a patchset archive may have; one with more is refused.",
        minimum=1,
    ),
    Setting(
        "ARCHIVE_MAX_RATIO",
        int,
        200,
        "How many times larger than the archive itself its content may be; the first 10 MB are "
        "free. Patches stay far below the default, an archive made to fill the disk does not.",
        minimum=1,
    ),
    Setting(
        "ARCHIVE_MAX_BYTES",
        int,
        20 * 1024**3,
        "Bytes that the content of one patchset archive may have, unpacked; the default is 20 GiB.",
        minimum=1,
    ),
    Setting(
        "CHECKIN_FLUSH_PERIOD",
        float,
        0.5,
        "Seconds that check-in facts may wait in memory before they are stored; as much is lost "
        "when the portal is killed.",
        minimum=0.01,
        maximum=3600,
    ),
    Setting(
        "CHECKIN_QUEUE_LIMIT",
        int,
        200_000,
        "Number of servers whose check-in facts may wait in memory; those of others are dropped.",
        minimum=1,
    ),
)
