"""A fixed rate of check-ins: open loop, a new connection each, latency from the intended time.

wrk cannot do this: its delay() holds an open, silent connection, which stops a server that works
on one connection at a time. Here the arrivals are random (exponential gaps, the same for every
server), a connection is opened when its request is due and not before, and a server that falls
behind is not waited for: what it owes is counted from the time the request should have left.

Runs as a process of its own, so that it can be given a core: ``paced.py PORT FILE START RATE
SECONDS`` prints one JSON object.
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import data

SEED = 20261122
MOST_OPEN = 500
DRAIN = 5.0


@dataclass(frozen=True)
class Paced:
    """Times in seconds.

    offered: scheduled. answered: whole answers of 2xx, until DRAIN seconds after the end. rate: of
    those, the ones that came before the end, a second. bad: other answers. broken: no answer. lag:
    99th percentile of how late the generator itself was. usual_p99: the 99th percentile within a
    second, its median: a machine that stands still for a moment counts in one second of them.
    """

    offered: int
    answered: int
    bad: int
    broken: int
    rate: float
    p50: float
    p99: float
    worst: float
    lag: float
    usual_p99: float


def pace(port: int, requests: Path, start: int, rate: int, seconds: int, core: int) -> Paced:
    """Run this module on ``core`` and return what it saw."""
    command = ["taskset", "-c", str(core), sys.executable, __file__]
    command += [str(port), str(requests), str(start), str(rate), str(seconds)]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
    return Paced(**json.loads(run.stdout))


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed; infinity of nothing."""
    if not values:
        return float("inf")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def usual(done: list[tuple[float, float]]) -> float:
    """Of the moments and latencies of answers: the median of the 99th percentiles of seconds."""
    seconds: dict[int, list[float]] = {}
    for at, latency in done:
        seconds.setdefault(int(at - latency), []).append(latency)
    found = [percentile(latencies, 0.99) for latencies in seconds.values()]
    return median(found) if found else float("inf")


def arrivals(rate: int, seconds: int) -> list[float]:
    """Seconds from the start at which requests are due, ``rate * seconds`` of them on average."""
    chance = random.Random(SEED)
    due: list[float] = []
    now = chance.expovariate(rate)
    while now < seconds:
        due.append(now)
        now += chance.expovariate(rate)
    return due


def read_requests(path: Path, start: int, count: int) -> list[bytes]:
    """``count`` encoded check-ins from line ``start`` on, from the top again after the last."""

    def lines() -> Iterator[bytes]:
        while True:
            with path.open() as file:
                for line in file:
                    yield data.Request(*line.rstrip("\n").split(" ", 1)).encode()

    return list(islice(lines(), start, start + count))


class Exchange:
    """One connection with one request in it."""

    def __init__(self, port: int, request: bytes, due: float) -> None:
        self.due = due
        self.answer = b""
        self._request = request
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))

    def send(self) -> None:
        self.socket.send(self._request)

    def receive(self) -> bool:
        """Take what is there; whether the answer is whole, by its Content-Length."""
        part = self.socket.recv(4096)
        if not part:
            raise ConnectionResetError("closed before the answer was whole")
        self.answer += part
        head, separator, body = self.answer.partition(b"\r\n\r\n")
        if not separator:
            return False
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return len(body) >= int(value)
        return False

    @property
    def good(self) -> bool:
        return self.answer[9:10] == b"2"


class Generator:
    def __init__(self, port: int, requests: list[bytes], due: list[float]) -> None:
        self._port = port
        self._waiting = list(zip(due, requests, strict=True))
        self._waiting.reverse()
        self._open: dict[int, Exchange] = {}
        self._epoll = select.epoll()
        self.late: list[float] = []
        self.done: list[tuple[float, float]] = []
        self.counts: Counter[str] = Counter()

    def run(self, seconds: int) -> None:
        """Until all is answered, or DRAIN seconds after the end."""
        began = perf_counter()
        while self._waiting or self._open:
            now = perf_counter() - began
            if now > seconds + DRAIN:
                break
            while self._waiting and self._waiting[-1][0] <= now and len(self._open) < MOST_OPEN:
                self._start(now)
            self._wait(now)
            for descriptor, events in self._epoll.poll(0):
                self._progress(descriptor, events, began)
        self.counts["broken"] += len(self._open) + len(self._waiting)

    def _start(self, now: float) -> None:
        due, request = self._waiting.pop()
        self.late.append(now - due)
        exchange = Exchange(self._port, request, due)
        self._open[exchange.socket.fileno()] = exchange
        self._epoll.register(exchange.socket, select.EPOLLOUT)

    def _wait(self, now: float) -> None:
        # select on the epoll's own descriptor: epoll_wait itself counts in whole milliseconds.
        timeout = 0.1
        if self._waiting and len(self._open) < MOST_OPEN:
            timeout = max(0.0, min(timeout, self._waiting[-1][0] - now))
        select.select([self._epoll], [], [], timeout)

    def _progress(self, descriptor: int, events: int, began: float) -> None:
        exchange = self._open[descriptor]
        try:
            if events & select.EPOLLOUT:
                exchange.send()
                self._epoll.modify(descriptor, select.EPOLLIN)
                return
            if not exchange.receive():
                return
        except OSError:
            self.counts["broken"] += 1
        else:
            self.counts["good" if exchange.good else "bad"] += 1
            now = perf_counter() - began
            self.done.append((now, now - exchange.due))
        del self._open[descriptor]
        self._epoll.unregister(descriptor)
        exchange.socket.close()


def main(port: int, path: Path, start: int, rate: int, seconds: int) -> Paced:
    due = arrivals(rate, seconds)
    generator = Generator(port, read_requests(path, start, len(due)), due)
    # Agents are other machines: what this one is busy with makes none of them late.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    gc.collect()
    gc.freeze()
    gc.disable()
    generator.run(seconds)
    latencies = [latency for _, latency in generator.done]
    return Paced(
        offered=len(due),
        answered=generator.counts["good"],
        bad=generator.counts["bad"],
        broken=generator.counts["broken"],
        rate=sum(1 for at, _ in generator.done if at <= seconds) / seconds,
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        worst=max(latencies, default=float("inf")),
        lag=percentile(generator.late, 0.99),
        usual_p99=usual(generator.done),
    )


if __name__ == "__main__":
    port, path, start, rate, seconds = sys.argv[1:]
    print(json.dumps(asdict(main(int(port), Path(path), int(start), int(rate), int(seconds)))))
