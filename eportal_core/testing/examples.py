"""Names and targets that a product accepts, for tests: made of what its spec says, or given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from eportal_core.errors import ArchiveError
from eportal_core.patchsets.spec import PatchsetSpec
from eportal_core.testing.matching import writer_of

NAMES, TARGETS = 3, 3
#: Random texts that are looked at: an expression may match more than names may be.
TRIES = 200


def names(spec: PatchsetSpec, given: Sequence[str] = ()) -> list[str]:
    """Names of patchsets, oldest first: ``given``, checked, or those that the spec leads to.

    Raises:
        ValueError: one is no name of the product, they are not in order, or there are too few.
    """
    for name in given:
        if not _is_name(spec, name):
            raise ValueError(f"{name!r} in names is no name of a {spec.product.title} patchset.")
    positions = [spec.order(name) for name in given]
    if positions != sorted(set(positions)):
        raise ValueError("The names are not in order: oldest first, each newer than the last.")
    found = given or (name for name in _texts(spec.archive_name, "names") if _is_name(spec, name))
    return sorted(_enough(found, spec.order, "names", NAMES), key=spec.order)


def targets(spec: PatchsetSpec, given: Sequence[str] = ()) -> list[str]:
    """Targets, all different: ``given``, checked, or those that the spec leads to.

    Raises:
        ValueError: one is no target of the product, or there are too few.
    """
    for target in given:
        if not spec.is_target(target):
            raise ValueError(f"{target!r} in targets is no target of {spec.product.title}.")
    found = given or filter(spec.is_target, _texts(spec.target, "targets"))
    return _enough(found, str, "targets", TARGETS)


def _texts(pattern: str, attribute: str) -> Iterator[str]:
    """The same ones each time."""
    random = Random(0)
    try:
        writer = writer_of(pattern)
    except ValueError as error:
        raise ValueError(f"{error}: set {attribute} of the test class to examples.") from None
    return (writer(random) for _ in range(TRIES))


def _is_name(spec: PatchsetSpec, name: str) -> bool:
    try:
        spec.check_name(name)
    except ArchiveError:
        return False
    return True


def _enough(
    found: Iterable[str], same: Callable[[str], str], attribute: str, count: int
) -> list[str]:
    """The first ``count`` of ``found`` for which ``same`` has different answers."""
    seen: dict[str, str] = {}
    for each in found:
        seen.setdefault(same(each), each)
        if len(seen) == count:
            return list(seen.values())
    raise ValueError(
        f"{len(seen)} different {attribute} were found, {count} are needed: set {attribute} of "
        f"the test class to that many examples."
    )
