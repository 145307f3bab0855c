"""Bring the mirror up to date: everything verified and in its place first, then one switch."""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from eportal_core import (
    Conflict,
    Portal,
    PortalError,
    StorageError,
    UpstreamError,
    counted,
    disk_errors,
    progress_bar,
)
from eportal_esu_repo import TREE
from eportal_esu_repo.fetch import Fetch
from eportal_esu_repo.metadata import Remote, Repomd, read_repomd
from eportal_esu_repo.repository import (
    REPOMD,
    SIGNATURE,
    Generation,
    Repository,
    is_sized,
    is_sound,
    mirror,
)
from eportal_esu_repo.signature import check_signature
from eportal_esu_repo.upstream import Origin, Rules, Web, address, rules

#: Both are small; a longer one is not what it says it is, bytes.
_REPOMD_LIMIT = 1 << 20


def update(portal: Portal, names: Sequence[str] = ()) -> Iterator[tuple[str, str | PortalError]]:
    """Update one repository after the other; yields each with what was done, or why not.

    Raises:
        Conflict: another update is at work.
        InvalidValue, NotFound: as from ``mirror``, ``address`` and ``rules``.
    """
    address(portal)
    kept = rules(portal)
    chosen = mirror(portal, names)
    with _alone(portal.config.patches_dir / TREE):
        for repository in chosen:
            outcome: str | PortalError
            try:
                with disk_errors(repository.folder):
                    outcome = _Update(Web(portal, repository.name), kept, repository).run()
            except PortalError as error:
                outcome = error
            yield repository.name, outcome


def take(portal: Portal, repository: Repository, origin: Origin) -> str:
    """Update a repository from ``origin``, which may have a part of it; returns what was done.

    Raises:
        Conflict: another update is at work.
        PortalError: it is refused; clients see what they saw.
    """
    kept = rules(portal)
    with _alone(portal.config.patches_dir / TREE), disk_errors(repository.folder):
        return _Update(origin, kept, repository).run()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One update at a time; the kernel frees the lock when its holder dies."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("Another update of the ESU repositories is at work.") from None
        yield


class _Update:
    """The update of one repository."""

    def __init__(self, origin: Origin, kept: Rules, repository: Repository) -> None:
        self._origin = origin
        self._rules = kept
        self._repository = repository
        self._fetch = Fetch(origin, repository)
        #: What clients see, and its packages by href; files with these names may not change yet.
        self._before = repository.current()
        self._known: Mapping[str, Remote] = {}

    def run(self) -> str:
        """Returns what was done, in a few words.

        Raises:
            PortalError: clients see what they saw.
        """
        repository, before = self._repository, self._before
        data, signature = self._get(REPOMD), self._get(SIGNATURE)
        check_signature(data, signature, self._rules.key, repository.keyring)
        repomd = read_repomd(data, self._rules.metadata_limit)
        generation = repository.generation(data, signature)
        if before and before != generation:
            self._refuse_older(before, repomd)
        self._fetch_metadata(repomd, generation)
        packages = generation.packages(
            repomd, self._rules.metadata_limit, self._rules.package_limit
        )
        self._known = packages if before == generation else self._packages_before()
        fetched, absent = self._fetch_packages(packages.values())
        came = f"{counted(fetched, 'package was', 'packages were')} fetched"
        if absent:
            return (
                f"{came}, {absent} of {len(packages)} are still to come, so clients see what they "
                f"saw before"
            )
        generation.complete(data, signature)
        if before == generation:
            repository.settle([each for each in repository.generations() if each.is_complete])
        else:
            repository.switch(generation)
            repository.settle([generation, before], packages.keys() | self._known.keys())
        if before == generation and not fetched:
            return f"up to date, {counted(len(packages), 'package')}"
        return f"{came}, {counted(len(packages), 'is', 'are')} mirrored"

    def _get(self, name: str) -> bytes:
        return self._origin.read(f"repodata/{name}", _REPOMD_LIMIT)

    def _refuse_older(self, before: Generation, repomd: Repomd) -> None:
        anew = f"remove {self._repository.folder}/repodata"
        try:
            mirrored = before.repomd
        except (OSError, UpstreamError) as error:
            raise StorageError(
                f"What was mirrored cannot be read ({error}); {anew} to begin anew."
            ) from error
        if repomd.is_older(mirrored):
            raise UpstreamError(
                f"The metadata is refused: its revision {repomd.revision} is older than "
                f"{mirrored.revision}, which is mirrored. To take it all the same, {anew}."
            )

    def _fetch_metadata(self, repomd: Repomd, generation: Generation) -> None:
        generation.folder.mkdir(parents=True, exist_ok=True)
        missing = []
        for file in repomd.files:
            place = generation.place(file)
            if is_sized(place, file.size):
                continue
            if self._before and is_sound(self._before.place(file), file):
                place.unlink(missing_ok=True)
                place.hardlink_to(self._before.place(file))
            else:
                missing.append(file)
        faults = self._fetch(
            missing, lambda file: self._fetch.place(file).replace(generation.place(file))
        )
        if faults:
            raise UpstreamError(faults[0])

    def _packages_before(self) -> Mapping[str, Remote]:
        """None, if their list is damaged: then nobody can rely on it, and nothing has to wait."""
        try:
            return self._before.packages(self._before.repomd) if self._before else {}
        except (OSError, UpstreamError):
            return {}

    def _fetch_packages(self, packages: Collection[Remote]) -> tuple[int, int]:
        """Fetch those that are not there, and put them in their places.

        Returns how many, and how many the origin has not.
        """
        lacking = [package for package in packages if not self._is_there(package)]
        missing = [package for package in lacking if self._fetch.can_have(package)]
        absent = len(lacking) - len(missing)
        if not missing:
            return 0, absent
        waiting: list[Remote] = []

        def placed(package: Remote) -> None:
            if self._known.get(package.href, package) == package:
                self._put(package)
            else:
                waiting.append(package)

        with progress_bar(f"Fetching {self._repository.name}") as show:
            self._fetch.check_room(missing)
            faults = self._fetch(missing, placed, show)
        if faults:
            raise UpstreamError(
                f"{len(faults)} of {len(packages)} packages could not be fetched, so clients see "
                f"what they saw before. {faults[0]}"
            )
        if not absent:
            for package in waiting:
                self._put(package)
        return len(missing), absent

    def _is_there(self, package: Remote) -> bool:
        if self._known.get(package.href) == package:
            return self._repository.has(package)
        return is_sound(self._repository.folder / package.href, package)

    def _put(self, package: Remote) -> None:
        place = self._repository.folder / package.href
        place.parent.mkdir(parents=True, exist_ok=True)
        self._fetch.place(package).replace(place)
