"""Do the same with many things, several at once, while whoever asked takes up what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


class Workers(Generic[Thing, Result]):
    """Threads that call ``work`` with each of ``things``; what ended is told in ``ended``.

    They are daemons: a process that is to end waits for none of them.
    """

    def __init__(
        self, work: Callable[[Thing], Result], things: Collection[Thing], at_once: int
    ) -> None:
        self.ended: SimpleQueue[tuple[Thing, Future[Result]]] = SimpleQueue()
        #: Nobody waits for what has not ended; ``work`` may look at it.
        self.stopping = threading.Event()
        self._work = work
        self._waiting = iter(things)
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name="download", daemon=True)
            for _ in range(min(at_once, len(things)))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, *, wait: bool) -> None:
        """Begin nothing more; with ``wait``, return when what was begun has ended."""
        self.stopping.set()
        for thread in self._threads if wait else ():
            thread.join()

    def _run(self) -> None:
        while not self.stopping.is_set():
            with self._lock:
                taken = list(islice(self._waiting, 1))
            if not taken:
                return
            done: Future[Result] = Future()
            try:
                done.set_result(self._work(taken[0]))
            # Whatever it is, whoever waits for this one has to hear of it.
            except Exception as error:
                done.set_exception(error)
            self.ended.put((taken[0], done))
