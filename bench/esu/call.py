"""The update as a function, in a process that has loaded everything: prints JSON."""

from __future__ import annotations

import json
import os
import time

from eportal_core import cli
from eportal_core.commands.session import Session
from eportal_esu_repo.update import update

portal = Session(cli.load(), os.environ).portal
# Once for what is imported when it is first used.
list(update(portal))
start = time.perf_counter()
outcomes = [str(outcome) for _, outcome in update(portal)]
print(json.dumps({"seconds": time.perf_counter() - start, "outcomes": outcomes}))
