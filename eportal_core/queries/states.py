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
