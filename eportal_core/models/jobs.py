"""What is known of periodic work: how each job went when it ran last, and when it runs next."""

from __future__ import annotations

import peewee

from eportal_core.models.base import MomentField, Table


class JobRun(Table):
    """The last run of a job. It is no change that anybody made, and so not in the change log.

    started: None before its first run. ended: None while it runs, and for ever when it was cut off.
    ok, result: how the run went that ended last; ``result`` is bounded. planned: the next run.
    """

    name = peewee.TextField(primary_key=True)
    started = MomentField(null=True)
    ended = MomentField(null=True)
    ok = peewee.BooleanField(null=True)
    result = peewee.TextField(default="")
    planned = MomentField(null=True)
