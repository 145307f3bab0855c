"""How a server is patched, in the words of the monitoring: each is in one of these states."""

from __future__ import annotations

UP_TO_DATE = "uptodate"
#: Its feed has a newer level enabled for its target.
OUT_OF_DATE = "outofdate"
#: Its feed has nothing for its target.
UNSUPPORTED = "unsupported"
#: It did not check in within 48 hours.
INACTIVE = "inactive"
STATES = (UP_TO_DATE, OUT_OF_DATE, UNSUPPORTED, INACTIVE)


def state_of(behind: int | None, active: bool) -> str:
    """One of ``STATES``. behind: levels above its own, None when its feed has none for it."""
    if not active:
        return INACTIVE
    if behind is None:
        return UNSUPPORTED
    return OUT_OF_DATE if behind else UP_TO_DATE
