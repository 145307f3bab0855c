"""A progress bar on a terminal, or for whoever watches; silence anywhere else."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import TextIO

#: Columns of a bar without its brackets: where there is room, and where it is left out.
_WIDEST, _NARROWEST = 36, 4

_drawn: list[_Bar] = []
_watcher: ContextVar[Callable[[str, int, int], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Callable[[str, int, int], None]) -> Iterator[None]:
    """In this thread, progress is told to ``watcher`` until the block ends: label, done, total."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function ``(done, total)`` that draws, or None when nobody is looking.

    Nobody looks at a bar while another one is drawn. Log lines are written above it.
    """
    watcher = _watcher.get()
    if watcher is not None:
        token = _watcher.set(_blind)
        try:
            watcher(label, 0, 0)
            yield partial(watcher, label)
        finally:
            _watcher.reset(token)
        return
    if _drawn or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(label, sys.stderr)
    handlers = logging.root.handlers[:]
    _drawn.append(bar)
    for handler in handlers:
        handler.addFilter(bar.step_aside)
    try:
        bar.show(0, 1)
        yield bar.show
    finally:
        for handler in handlers:
            handler.removeFilter(bar.step_aside)
        _drawn.remove(bar)
        bar.end()


def _blind(label: str, done: int, total: int) -> None:
    """Watches a bar within another one."""


class _Bar:
    """It is drawn with what any terminal knows: spaces and carriage returns."""

    def __init__(self, label: str, terminal: TextIO) -> None:
        self._label = label
        self._terminal = terminal
        self._began = time.monotonic()
        self._state = 0, 1
        self._line = ""

    def show(self, done: int, total: int) -> None:
        self._state = done, total
        # Who looks may go at any time; what is being done is done to its end.
        with suppress(OSError):
            columns = os.get_terminal_size(self._terminal.fileno()).columns
            self._replace(self._text((columns or 80) - 1))

    def step_aside(self, _: logging.LogRecord) -> bool:
        """A filter that keeps nothing back: it makes room for a log line, until ``show``."""
        with suppress(OSError):
            self._replace("")
        return True

    def end(self) -> None:
        self.show(*self._state)
        with suppress(OSError):
            self._terminal.write("\n")
            self._terminal.flush()

    def _text(self, room: int) -> str:
        """What to draw; not longer than ``room``."""
        done, total = self._state
        part = min(done / max(total, 1), 1.0)
        info = f"  {int(part * 100):3}%"
        passed = time.monotonic() - self._began
        if passed > 1 and 0 < part < 1:
            info += f"  {timedelta(seconds=int(passed / part - passed))}"
        label = self._label[: room - len(info)]
        width = min(_WIDEST, room - len(label) - len(info) - len("  []"))
        if width < _NARROWEST:
            return f"{label}{info}"[:room]
        return f"{label}  [{'#' * int(part * width):-<{width}}]{info}"

    def _replace(self, line: str) -> None:
        if line != self._line:
            self._terminal.write(f"\r{' ' * len(self._line)}\r{line}")
            self._terminal.flush()
            self._line = line
