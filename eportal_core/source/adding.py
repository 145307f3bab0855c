"""Taking archives into a source: all that are named, or none of them.

Only the disk or a death can part them, and then by product: their lists are files of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eportal_core.errors import ArchiveError, InvalidValue, NotFound
from eportal_core.models import AVAILABLE
from eportal_core.patchsets.archive import Limits, patchset_name, unpack
from eportal_core.patchsets.manifest import Manifest
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.patchsets.store import copy_hashed
from eportal_core.patchsets.streams import Progress
from eportal_core.source.content import Content, Entry, holds, make_folder
from eportal_core.source.layout import Offer, archive_path, meta_path, stored_path
from eportal_core.source.publisher import Publisher
from eportal_core.storage import exchange, sync_tree


def add(
    publisher: Publisher,
    specs: Mapping[str, PatchsetSpec],
    archives: Sequence[Path],
    limits: Limits,
    *,
    state: str | None = None,
    product: str | None = None,
    progress: Progress | None = None,
) -> list[Offer]:
    """Check ``archives``, store them with their files, and list them; ``publish`` shows them.

    One that is here already is checked, and its files are put in order. state: of what is added;
    available unless given, or what is said of it already. product: of all archives; told from
    their names unless given. ``progress`` is told (bytes of archives read, bytes of all of them).

    Raises:
        NotFound: there is no such file.
        ArchiveError: an archive is refused, or other bytes are published under its name.
        InvalidValue: the source has not the product.
        StorageError: the disk refused.
    """
    chosen = [(path, _spec(path, specs, product, publisher)) for path in archives]
    publisher.require(*{spec.product.name for _, spec in chosen})
    batch = _Batch(publisher.content, publisher.content.workspace(), limits, state)
    for name in {spec.product.name for _, spec in chosen}:
        batch.archives[name] = publisher.content.archives(name)
        batch.listed |= {(name, offer.name): offer for offer in publisher.offers(name)}
    total = sum(path.stat().st_size for path, _ in chosen)
    done = 0
    for path, spec in chosen:

        def told(read: int, _: int, before: int = done) -> None:
            if progress is not None:
                progress(before + read, total)

        batch.take(path, spec, told)
        done += path.stat().st_size
    batch.place()
    publisher.put(list(batch.offers.values()))
    return list(batch.offers.values())


def _spec(
    path: Path, specs: Mapping[str, PatchsetSpec], product: str | None, publisher: Publisher
) -> PatchsetSpec:
    """The product whose archive ``path`` is, by its name."""
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    if product is not None and product not in specs:
        raise InvalidValue(f"No product {product} made of patchset archives is installed.")
    name = patchset_name(path)
    fitting = []
    for spec in specs.values() if product is None else [specs[product]]:
        try:
            spec.check_name(name)
        except ArchiveError:
            continue
        fitting.append(spec)
    if not fitting:
        whom = product or "any product here"
        raise ArchiveError(f"{name!r} is not a name of a patchset of {whom}.")
    if len(fitting) > 1:
        names = ", ".join(spec.product.name for spec in fitting)
        raise InvalidValue(f"{name} may be of {names}: say which with --product.")
    found = fitting[0].product.name
    if found not in publisher.repository.products:
        raise InvalidValue(
            f"The source has no product {found}: add it with kc.eportal source init --product "
            f"{found} {publisher.folder}."
        )
    return fitting[0]


@dataclass
class _Batch:
    """Archives that were unpacked in ``workspace``, and where their files are to be.

    archives: hashes of what is in the source, by product and name. listed: by the same.
    moves: source and place, in ``workspace`` and below ``targets/``. levels: by their place.
    """

    content: Content
    workspace: Path
    limits: Limits
    state: str | None
    archives: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    listed: dict[tuple[str, str], Offer] = field(default_factory=dict)
    offers: dict[tuple[str, str], Offer] = field(default_factory=dict)
    moves: list[tuple[Path, Path]] = field(default_factory=list)
    levels: dict[Path, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def take(self, path: Path, spec: PatchsetSpec, progress: Progress) -> None:
        product, name = spec.product.name, patchset_name(path)
        place = self.workspace / str(len(self.entries))
        place.mkdir()
        copy = place / path.name
        sha256 = copy_hashed(path, copy)
        known = self.archives[product].setdefault(name, set())
        if known - {sha256}:
            raise ArchiveError(
                f"{name} is in the source already from another archive; what was published under "
                f"a name does not change."
            )
        content = place / "content"
        content.mkdir()
        manifest = unpack(copy, content, spec, self.limits, progress)
        meta = place / "meta.json"
        meta.write_bytes(manifest.encode())
        offer = self._offer(product, manifest, copy, sha256, meta)
        moves = [
            (copy, self.content.targets / stored_path(offer.archive, sha256)),
            (meta, self.content.targets / stored_path(offer.meta, offer.meta_sha256)),
            *self._levels(offer, manifest, content),
        ]
        for source, _ in moves[:2]:
            source.chmod(0o644)
        fresh = [target for _, target in moves if not target.exists()]
        paths = [str(target.relative_to(self.content.targets)) for target in fresh]
        self.entries.append(Entry(product, name, sha256, paths))
        self.moves += moves
        known.add(sha256)
        self.offers[product, name] = offer

    def place(self) -> None:
        """Rename everything into place, durably."""
        self.content.journal(self.workspace, self.entries)
        for source, place in self.moves:
            make_folder(place.parent)
            if place.is_dir():
                exchange(source, place)
            else:
                source.rename(place)
        sync_tree(self.content.targets)

    def _offer(
        self, product: str, manifest: Manifest, archive: Path, sha256: str, meta: Path
    ) -> Offer:
        listed = self.listed.get((product, manifest.name))
        said = AVAILABLE if listed is None else listed.state
        return Offer(
            product=product,
            name=manifest.name,
            archive=archive_path(product, archive.name),
            size=archive.stat().st_size,
            sha256=sha256,
            meta=meta_path(product, manifest.name),
            meta_size=meta.stat().st_size,
            meta_sha256=copy_hashed(meta, meta.with_name("meta.copy")),
            released=manifest.released,
            channels=tuple(manifest.channels),
            distros=tuple(manifest.distros),
            state=self.state or said,
        )

    def _levels(self, offer: Offer, manifest: Manifest, content: Path) -> list[tuple[Path, Path]]:
        """The levels that are not in place yet, or damaged there.

        Raises:
            ArchiveError: other bytes are published as one of them.
        """
        ours = offer.sha256 in self.archives[offer.product][offer.name]
        moves = []
        for target, entry in manifest.targets.items():
            place = self.content.level(offer.product, target, entry.level)
            digest = entry.digest()
            if place in self.levels:
                if self.levels[place] == digest:
                    continue
            elif not place.exists():
                moves.append((content / target / str(entry.level), place))
                self.levels[place] = digest
                continue
            elif holds(place, entry):
                continue
            elif ours:
                moves.append((content / target / str(entry.level), place))
                continue
            raise ArchiveError(
                f"Level {entry.level} of {target} is in the source already with other bytes, so "
                f"{offer.name} cannot be added."
            )
        return moves
