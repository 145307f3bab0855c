"""What follows a form that was saved: the list, another one, or the same again."""

from __future__ import annotations

from starlette.responses import Response

from eportal_core.admin.ui.visit import Visit


def saved(visit: Visit, told: str, listing: str, **same: str) -> Response:
    """Where the button that was pressed leads, of those that the macro ``save_buttons`` makes.

    listing: the path of the list; its ``/add`` and ``/edit`` are the forms. same: the query of what
    was saved.
    """
    then = visit.text("then")
    if then == "another":
        return visit.go(f"{listing}/add", told)
    if then == "edit":
        return visit.go(f"{listing}/edit", told, **same)
    return visit.go(listing, told)
