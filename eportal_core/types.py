"""Values that core and plugins hand to each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eportal_core.patchsets.store import PatchsetStore
    from eportal_core.portal import Portal
    from eportal_core.source.bundle.carried import CarriedFolder


#: What a product may be called: it stands in addresses, in file names and on the command line.
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Product:
    """Something that is sold, licensed by a key and served to agents.

    name: as keys and ``kc.eportal key --product`` know it (``kernel``).
    command: its subcommand of ``kc.eportal`` (``kcare``), which a plugin without archives brings.
    title: for people (``KernelCare``).
    api_name: as the HTTP API knows it, ``name`` unless given.
    aliases: other names under which ``--product`` knows it, as in older documents.
    default: a key that names no products has this one.
    checkin: the ``latest`` request for it is the agent's check-in; one product has this.
    """

    name: str
    command: str
    title: str
    api_name: str = ""
    default: bool = True
    checkin: bool = False
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.name, self.command, self.api_name or self.name, *self.aliases):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a product or a command: {_NAME.pattern}")


@dataclass(frozen=True)
class ReleasedLevel:
    """What a release brings for one target.

    digest: another one whenever the bytes are; a SHA-256 in hex will do. distro, uname, name: of
    what the target is, as far as it is known.
    """

    target: str
    level: int
    digest: str
    distro: str = ""
    uname: str = ""
    name: str = ""


@dataclass(frozen=True)
class Release:
    """A patchset as a plugin's deploy hook published it, ready to be made visible.

    position: sorts the patchsets of a product, oldest first. released: as the upstream says it.
    archive: file name in ``arch/``, empty when none is kept there. sha256: of the archive.
    size: bytes of its content.
    """

    name: str
    position: str
    levels: tuple[ReleasedLevel, ...]
    released: str = ""
    channels: tuple[str, ...] = ("default",)
    distros: tuple[str, ...] = ()
    changelog: str = ""
    archive: str = ""
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True)
class Tree:
    """A folder that a product keeps, one name below the patches directory.

    store: knows its files, when the product is made of patchset archives.
    """

    product: str
    folder: str
    store: PatchsetStore | None = None


@dataclass(frozen=True)
class CarriedFile:
    """A file that bundles carry.

    path: in the bundle, below the folder of its ``Carried``. source: where it is now.
    size: bytes. checksum: name of the algorithm (``sha256``) and the hex digest that it must have.
    always: it is in every bundle, and in every part of one that is split; all others are left out
    for a portal that has them, by path and checksum.
    """

    path: str
    source: Path
    size: int
    checksum: tuple[str, str]
    always: bool = False


@dataclass(frozen=True)
class Carried:
    """What bundles carry of a product that is not made of archives.

    name: of this much of the product, with slashes or without. unit: what its files are, in the
    plural (``packages``). files: all that servers may have now; no bundle is made while one of
    them is missing or damaged.
    apply: takes what a bundle brings of it, and returns what was done, in a few words. Nothing of
    it can be believed: the plugin proves each file, by signatures and checksums. A ``PortalError``
    refuses it, and nothing may have changed for those who are served; the rest of the bundle is
    taken all the same.
    """

    product: str
    name: str
    unit: str
    files: Callable[[], Iterable[CarriedFile]]
    apply: Callable[[CarriedFolder], str]


@dataclass(frozen=True)
class Event:
    """Something that was done and committed: ``patchset.enabled`` of ``kernel/K1`` in ``main``."""

    kind: str
    subject: str
    feed: str = ""


@dataclass(frozen=True)
class Page:
    """An entry of the navigation: what it says, and the path that it leads to, with ``/admin``."""

    title: str
    path: str


@dataclass(frozen=True)
class Identity:
    """A user whom an authentication backend knows.

    backend: the name of the backend, so that two users of one name are not taken for one.
    readonly: what the backend says at each login; None leaves it to the portal, where a new user is
    readonly until an administrator says otherwise. description: of a user who is new here.
    """

    username: str
    backend: str
    readonly: bool | None = None
    description: str = ""


@dataclass(frozen=True)
class Caller:
    """Who calls the admin side, once it is known; a readonly one may see all and change nothing.

    backend: who knows the user. means: ``session``, ``password`` or ``API key NAME``.
    products, feeds: what an API key is for, None for all.
    """

    username: str
    backend: str
    readonly: bool
    means: str
    products: tuple[str, ...] | None = None
    feeds: tuple[str, ...] | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it may not call everything that its user may."""
        return self.products is not None or self.feeds is not None


@dataclass(frozen=True)
class Job:
    """Work done again every ``period`` seconds in the admin process; returns what it did.

    first: seconds from the first start to the first run, one period unless given; after a later
    start, no run comes sooner.
    """

    name: str
    period: int
    run: Callable[[], str]
    first: int | None = None


@dataclass(frozen=True)
class Check:
    """One finding of ``kc.eportal doctor``; ``advice`` tells what to do when it is not ok."""

    name: str
    ok: bool
    finding: str
    advice: str = ""


@dataclass(frozen=True)
class SettingsTest:
    """A button of a page of settings that tries what is saved.

    button: what it says. run: tries, with what was typed into the fields, and tells of each step
    as it ends; the first that is not ok is the last. A ``PortalError`` is told, too. It runs in a
    thread, on a database connection.
    asks: fields by name, with their labels; what is typed into ``password`` is not shown.
    """

    button: str
    run: Callable[[Portal, Mapping[str, str]], Iterable[Check]]
    asks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SettingsPage:
    """A page of settings of the core or of the plugin, below ``/admin/settings/``.

    settings: their names in the order of the page, with what the page calls them. Those that are
    ``runtime`` can be changed there, unless the file or the environment sets them; all others
    are shown. help: one or two sentences above them. choices: for a list, what may be ticked.
    """

    title: str
    path: str
    settings: Mapping[str, str]
    help: str = ""
    test: SettingsTest | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Guide:
    """A chapter of ``/admin/docs/``: how hosts are set up for what the plugin brings.

    text: a paragraph. steps: what each is about, and the commands or the file to copy, where
    ``@ADDRESS@`` stands for the portal's own address and ``@KEY@`` for a key.
    product: the chapter is about keys that have it; empty for any key. order: smaller comes first.
    """

    title: str
    text: str
    steps: tuple[tuple[str, str], ...]
    product: str = ""
    order: int = 100
