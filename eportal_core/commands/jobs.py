"""``kc.eportal jobs``: how periodic work went, and when it is done next; run a job now."""

from __future__ import annotations

import click

from eportal_core.commands.listing import json_option, listing_group, print_json, show
from eportal_core.commands.session import pass_portal
from eportal_core.errors import NotFound
from eportal_core.portal import Portal

_COLUMNS = {
    "name": "Job",
    "period": "Period, s",
    "started": "Last run",
    "state": "State",
    "result": "Result",
    "next": "Next run",
}
#: Characters of a result in the table; a longer one stands whole below it.
_WIDTH = 60


jobs_command = listing_group(
    "jobs",
    help="list periodic work by default: how it went, and when it is done next",
    short_help="manage periodic work",
)


@jobs_command.command("list", short_help="list periodic work")
@json_option
@pass_portal
def list_command(portal: Portal, as_json: bool) -> None:
    """list periodic work: how it went, and when it is done next (UTC)"""
    from eportal_core.job_runs import listing
    from eportal_core.jobs import all_jobs

    rows = list(listing(all_jobs(portal), portal.config.data_dir))
    if as_json:
        print_json(rows)
    else:
        show(map(_for_people, rows), _COLUMNS)
        for row in rows:
            if len(str(row["result"])) > _WIDTH:
                click.echo(f"\n{row['name']}: {row['result']}")


@jobs_command.command("run", short_help="run a job now")
@click.argument("name", help="name of a job, see kc.eportal jobs")
@pass_portal
def run_command(portal: Portal, name: str) -> None:
    """run a job now, in this process, and wait for its end"""
    from eportal_core.job_runs import run
    from eportal_core.jobs import all_jobs

    for job in all_jobs(portal):
        if job.name == name:
            click.echo(f"{name}: {run(job, portal.config.data_dir) or 'nothing to do'}")
            return
    raise NotFound(f"There is no job {name}: kc.eportal jobs lists them.")


def _for_people(row: dict[str, object]) -> dict[str, object]:
    result = str(row["result"])
    return {
        **row,
        "started": _second(row["started"]),
        "result": result if len(result) <= _WIDTH else f"{result[: _WIDTH - 1]}…",
        "next": _second(row["next"])
        or ("" if row["state"] == "running" else "when the portal runs"),
    }


def _second(moment: object) -> str:
    """``YYYY-MM-DD HH:MM:SS``; nobody reads microseconds in a table."""
    return "" if moment is None else str(moment)[:19]
