"""What firmware has beside its patchsets: a command, a route, a page and a check."""

from html import escape

from eportal_core import Check, Page, admit, hookimpl, latest_levels, pass_portal, require_user


@hookimpl
def eportal_commands(cli):
    @cli.command("fw-models", help="list models that have firmware", short_help="list models")
    @pass_portal
    def models(portal):
        for row in latest_levels("firmware", "main"):
            print(row.target, row.level)


@hookimpl
def eportal_agent_routes(portal):
    from starlette import responses, routing

    def models(request):
        rows = latest_levels("firmware", admit(request, "firmware"))
        return responses.JSONResponse({row.target: row.level for row in rows})

    return [routing.Route("/fw-models.json", models)]


@hookimpl
def eportal_routes(portal):
    from starlette import responses, routing

    def page(request):
        require_user(portal, request)
        names = [escape(row.name or row.target) for row in latest_levels("firmware", "main")]
        return responses.HTMLResponse(f"<!doctype html><h1>Firmware</h1>{'<br>'.join(names)}")

    return [routing.Route("/admin/firmware", page)]


@hookimpl
def eportal_navigation(portal):
    return [Page("Firmware", "/admin/firmware")]


@hookimpl
def eportal_checks(portal):
    count = len(latest_levels("firmware", "main"))
    return [Check("firmware", count > 0, f"{count} models have it", "Deploy some: kc.eportal fw")]
