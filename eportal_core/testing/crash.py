"""Work that is killed at a chosen moment, as by ``kill -9`` or a power cut."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from eportal_core import db
from eportal_core.portal import open_portal
from eportal_core.testing.world import World

COMMIT = "commit"

#: What is killed, in the portal that it is given.
Work: TypeAlias = Callable[[World], None]


def work_and_die(world: World, work: Work, moment: int) -> str:
    """Do ``work`` in a process of its own, killed at its ``moment``-th step, counted from 1.

    A step is whatever the next process could see half done: something is renamed, the transaction
    ends, something is removed. Returns the step that it did not come to do, ``""`` when it
    had done all of them.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Of threads, which a process with more than this test in it may have: none is used there.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _work(world, work, moment, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code == (-signal.SIGKILL if told else 0), f"the process ended with {code}"
    return told


def _work(world: World, work: Work, moment: int, writing: int) -> None:
    """The child: it does not return."""
    code = 1
    try:
        # Its own, opened again: no connection may be used on both sides of a fork.
        portal = open_portal(world.portal.config, world.portal.plugins)
        with db.connection():
            _die_at(moment, str(portal.config.data_dir), writing)
            work(World(portal, world.spec, world.folder))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


#: What changes a name on the disk, in one step.
_EVENTS = ("os.rename", "os.remove", "shutil.rmtree")


def _die_at(moment: int, folder: str, writing: int) -> None:
    left = moment

    def step(what: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(writing, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and str(arguments[0]).startswith(folder):
            step(f"{event} {arguments[0]}")

    sys.addaudithook(audit)
    db.database.connection().set_trace_callback(_at_commit(step))


def _at_commit(step: Callable[[str], None]) -> Callable[[str], None]:
    return lambda statement: step(COMMIT) if statement.startswith("COMMIT") else None
