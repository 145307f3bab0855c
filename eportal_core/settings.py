"""What a setting is, and the settings of the core; docs/settings.md is generated from them.

A plugin declares its own settings as the same values; ``eportal_core.config`` reads all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


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
    runtime: may also be set by ``kc.eportal config set``, and running processes see the change.
    check: called when a runtime setting is set; raises ``InvalidValue`` for what is no value of it.
    """

    name: str
    type: type
    default: object
    help: str
    secret: bool = False
    minimum: float | None = None
    maximum: float | None = None
    absolute: bool = False
    runtime: bool = False
    check: Callable[[Any], object] | None = None


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
        "PROXY",
        str,
        None,
        "Proxy by which the portal fetches packages and patches, for example "
        "http://user:password@proxy.example.com:3128; also https://, socks5:// and socks5h://. Not "
        "set, the environment decides (HTTP_PROXY, HTTPS_PROXY); NO_PROXY counts in either case.",
        secret=True,
    ),
    Setting(
        "DATA_AGE_LIMIT",
        int,
        7,
        "Days after which what is known of the patch source is old: kc.eportal doctor and the "
        "index page say so.",
        minimum=1,
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
    Setting(
        "PATCH_SOURCE_URL",
        str,
        None,
        "Where patchsets come from: an http or https address, the absolute path of a directory "
        "such as a mounted disk, or an address that a plugin reads. Not set, nothing is fetched.",
        runtime=True,
    ),
    Setting(
        "PATCH_SOURCE_USER",
        str,
        None,
        "User name by which the portal identifies itself to the patch source.",
        runtime=True,
    ),
    Setting(
        "PATCH_SOURCE_PASSWORD",
        str,
        None,
        "Password that goes with PATCH_SOURCE_USER.",
        secret=True,
        runtime=True,
    ),
    Setting(
        "PATCH_SOURCE_ROOT",
        str,
        None,
        "File with the root metadata of the patch source that is trusted, as its publisher gave "
        "it to you. Not set, PATCH_SOURCE_FINGERPRINT or kc.eportal source trust decides.",
        absolute=True,
        runtime=True,
    ),
    Setting(
        "PATCH_SOURCE_FINGERPRINT",
        str,
        None,
        "Fingerprint of the patch source that is trusted: the sha256 of its file "
        "metadata/1.root.json, 64 hex digits.",
        runtime=True,
    ),
    Setting(
        "PATCH_SOURCE_DISTROS",
        list,
        [],
        "Distros whose patchsets are fetched, as the patch source calls them; empty means all. It "
        "applies to the product that servers check in for.",
        runtime=True,
    ),
    Setting(
        "PUBLISH_SOURCE",
        str,
        None,
        "What this portal serves, below /source/, to portals below it: the absolute path of a "
        'publisher\'s directory, or "mirror" for the patch source that it reads itself.',
    ),
    Setting(
        "PUBLISH_SOURCE_USER",
        str,
        None,
        "User name that those portals have to give. Not set, anybody may read the source.",
    ),
    Setting(
        "PUBLISH_SOURCE_PASSWORD",
        str,
        None,
        "Password that goes with PUBLISH_SOURCE_USER.",
        secret=True,
    ),
    Setting(
        "AUTH_PASSWORD_MIN_LENGTH",
        int,
        5,
        "Characters that the password of a local user has at least.",
        minimum=1,
        maximum=1000,
    ),
    Setting(
        "AUTH_SESSION_LIFETIME",
        int,
        None,
        "Seconds for which a login in a browser lasts. Not set, it ends with the browser.",
        minimum=60,
    ),
    Setting(
        "AUTH_REFRESH_SESSION",
        bool,
        False,
        "Whether AUTH_SESSION_LIFETIME counts from the last use, and not from the login.",
    ),
    Setting(
        "AUTH_RESTRICTED_INDEX",
        bool,
        False,
        "Whether the index page is for users who have logged in alone.",
    ),
    Setting(
        "USER_LOG_KEEP",
        int,
        None,
        "Days for which entries of the user log are kept. Not set, all are kept.",
        minimum=8,
        maximum=36500,
        runtime=True,
    ),
    Setting(
        "API_AUTH_HEADER",
        str,
        "X-Api-Key",
        "Name of the header in which API keys come.",
    ),
    Setting(
        "METRICS_TOKEN",
        str,
        None,
        "Bearer token by which /metrics may be asked; users may ask it with their password.",
        secret=True,
    ),
    Setting(
        "ALLOWED_HOSTS",
        list,
        [],
        "Host names by which the admin side may be called; *.example.com is all below one. Empty "
        "means any.",
    ),
    Setting(
        "AUTO_UPDATE_PERIOD",
        int,
        600,
        "Seconds between two looks at the patch source, for example 60 * 10 for ten minutes.",
        minimum=10,
    ),
    Setting(
        "LIMIT_PATCHSETS",
        int,
        None,
        "Number of the newest patchsets of each product that are fetched for a feed. Not set, all "
        "that the feed's channel has are.",
        minimum=1,
    ),
    Setting(
        "DEPLOY_AFTER_RELEASE",
        bool,
        False,
        "Whether the hours of a feed's --deploy-after count from when a patchset was released, and "
        "not from when it came to this portal.",
    ),
    Setting(
        "DOWNLOADS_AT_ONCE",
        int,
        4,
        "Number of archives that are fetched from the patch source at the same time.",
        minimum=1,
        maximum=32,
    ),
    Setting(
        "CACHE_MODE",
        bool,
        False,
        "Whether only the manifests of patchsets are fetched, and each patch file when an agent "
        "first asks for it.",
    ),
    Setting(
        "CACHE_MAX_SIZE",
        int,
        20 * 1024**3,
        "Bytes that the patch files in DATA_DIR/cache/files may have in cache mode; what was not "
        "asked for the longest goes first. The default is 20 GiB.",
        minimum=1024**2,
    ),
    Setting(
        "CACHE_KEEP",
        int,
        14 * 24 * 3600,
        "Seconds for which a patch file that nobody asks for is kept in cache mode; the default is "
        "two weeks.",
        minimum=3600,
    ),
)
