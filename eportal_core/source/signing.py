"""How long signatures last, and how metadata gets the signatures that its role asks for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tuf.api.metadata import Metadata, Signed
from tuf.api.serialization.json import JSONSerializer

from eportal_core.errors import InvalidValue, NotFound
from eportal_core.source.keys import KeyFolder
from eportal_core.source.layout import TOP_ROLES
from eportal_core.source.repository import Delegator, is_signed

#: Days for which a signature is good; other roles are those of products.
DAYS: Mapping[str, int] = {"root": 365, "targets": 90, "snapshot": 7, "timestamp": 1}
PRODUCT_DAYS = 90
DAYS_AT_MOST = 3650
#: A signature is renewed when less than this part of its days is left, and missed after that one.
RENEWED_BELOW = 1 / 2
WARNED_BELOW = 1 / 4
#: In the metadata of each role, so that it is signed again for as long as it was.
_DAYS_FIELD = "x-eportal-days"


def days_of(role: str, signed: Signed) -> int:
    """For how many days ``role`` is signed."""
    days = signed.unrecognized_fields.get(_DAYS_FIELD)
    return days if isinstance(days, int) else DAYS.get(role, PRODUCT_DAYS)


def set_days(role: str, signed: Signed, days: int) -> None:
    """Sign ``role`` for ``days`` days from its next version on.

    Raises:
        InvalidValue: that is no number of days.
    """
    if not 1 <= days <= DAYS_AT_MOST:
        raise InvalidValue(f"{role} is signed for 1 to {DAYS_AT_MOST} days, not {days}.")
    signed.unrecognized_fields[_DAYS_FIELD] = days


def left_of(role: str, signed: Signed) -> float:
    """Which part of its days a signature has before it; not above 0 when it is expired."""
    left = signed.expires - datetime.now(UTC)
    return left / timedelta(days=days_of(role, signed))


def warning(role: str, signed: Signed) -> str:
    """What is to be said of the expiry of a signature; empty when nothing is."""
    if signed.expires <= datetime.now(UTC):
        return "expired"
    if left_of(role, signed) >= WARNED_BELOW:
        return ""
    hours = math.ceil((signed.expires - datetime.now(UTC)) / timedelta(hours=1))
    return f"expires in {hours} hours" if hours < 72 else f"expires in {hours // 24} days"


def check_roles(named: Iterable[str], products: Sequence[str]) -> None:
    """Refuse names of roles that a source of ``products`` has not.

    Raises:
        InvalidValue: there is such a name.
    """
    roles = [*TOP_ROLES, *products]
    for role in named:
        if role not in roles:
            raise InvalidValue(f"There is no role {role}: there are {', '.join(roles)}.")


def require(keys: KeyFolder, role: str, delegator: Delegator) -> None:
    """Refuse unless ``role`` can be signed.

    Raises:
        NotFound: keys are missing.
    """
    asked = delegator.get_delegated_role(role)
    found = len(keys.signers(role, asked.keyids))
    if found < asked.threshold:
        raise NotFound(
            f"{role} is signed with {asked.threshold} of its keys, but {keys.path} has {found}."
        )


def sign(
    keys: KeyFolder,
    role: str,
    metadata: Metadata[Any],
    version: int,
    delegators: Sequence[Delegator],
) -> bytes:
    """Sign ``metadata`` as ``version`` from now on, with the keys that ``delegators`` name.

    Returns what is to be stored. What the last of ``delegators`` asks for has to be there.

    Raises:
        NotFound: keys are missing.
    """
    require(keys, role, delegators[-1])
    metadata.signed.version = version
    days = timedelta(days=days_of(role, metadata.signed))
    metadata.signed.expires = datetime.now(UTC).replace(microsecond=0) + days
    keyids = {key for by in delegators for key in by.get_delegated_role(role).keyids}
    metadata.signatures.clear()
    for signer in keys.signers(role, keyids):
        metadata.sign(signer, append=True)
    assert is_signed(role, metadata, delegators[-1])
    return metadata.to_bytes(JSONSerializer(compact=True))
