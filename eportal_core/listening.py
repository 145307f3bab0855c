"""For how long has this portal been able to hear its servers.

Silence means something only to one who listens: after weeks of being off, or a clock that jumped
by weeks, every server looks silent until it has checked in again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Wall clock and steady clock may drift apart this much before it is a jump, seconds.
_JUMP = 600.0


class Listening:
    """Starts to listen when it is made, and anew whenever the clock jumps."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._since = (clock(), steady())

    def seconds(self) -> float:
        """Seconds since it began, or since the clock jumped."""
        clock, steady = self._clock(), self._steady()
        began, steadily = self._since
        if abs((clock - began) - (steady - steadily)) > _JUMP:
            self._since = (clock, steady)
        return steady - self._since[1]
