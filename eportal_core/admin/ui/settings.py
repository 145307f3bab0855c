"""``/admin/settings/…``: settings that change while the portal runs, and whether they work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from eportal_core.admin.api.operation import Access
from eportal_core.admin.ui import trials
from eportal_core.admin.ui.settings_pages import Shown, all_shown, filled, pages_of_plugins
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.config import Config
from eportal_core.errors import InvalidValue, NotFound, PortalError
from eportal_core.operations import settings
from eportal_core.portal import Portal
from eportal_core.types import SettingsPage

#: Before the name of a secret: the box that is ticked to forget it.
_FORGET = "forget_"


def views_of_plugins(portal: Portal) -> list[tuple[str, View]]:
    """The views of all pages that plugins bring, each with the name of its plugin.

    Raises:
        PluginError: as from ``pages_of_plugins``.
    """
    return [
        (plugin, view)
        for plugin, page in pages_of_plugins(portal)
        for view in views_of(page.path, _always(page))
    ]


def views_of(
    path: str,
    page_of: Callable[[Portal], SettingsPage],
    template: str = "settings.html",
    more: Callable[[Visit], dict[str, Any]] = lambda _: {},
) -> list[View]:
    """The views of one page. more: what a ``template`` of its own wants to know."""

    def show(visit: Visit, form: Form | None = None) -> Response:
        page = page_of(visit.portal)
        config = visit.portal.config
        values = {name: _typed(config, page, name) for name in page.settings}
        return visit.page(
            template,
            title=page.title,
            page=page,
            path=below,
            shown=all_shown(config, page),
            forget=_FORGET,
            form=form or Form(values),
            trial=trials.last(page, visit.user),
            **more(visit),
        )

    def save(visit: Visit) -> Response:
        page = page_of(visit.portal)
        config = visit.portal.config
        try:
            changed = _changed(visit, config, all_shown(config, page))
            if changed:
                _refuse_other_host(config, all_shown(config, page), changed)
                settings.put_all(visit.portal, changed)
        except PortalError as error:
            lists = [name for name in page.settings if page.choices.get(name)]
            return show(visit, visit.typed(error, *lists))
        if not changed:
            return visit.go(below, "Nothing was changed.", "info")
        return visit.go(below, f"{page.title}: saved.")

    def test(visit: Visit) -> Response:
        page = page_of(visit.portal)
        if page.test is None:
            raise NotFound("There is nothing to test here.")
        typed = {name: visit.text(name) for name in page.test.asks}
        trials.begin(visit.portal, visit.user, page, page.test, typed)
        return visit.go(f"{below}#test")

    def tested(visit: Visit) -> Response:
        page = page_of(visit.portal)
        trial = trials.last(page, visit.user)
        return visit.page("settings_trial.html", page=page, path=below, trial=trial)

    below = path.removeprefix("/admin")
    return [
        View("GET", below, Access.READER, show),
        View("POST", below, Access.ADMIN, save),
        View("POST", f"{below}/test", Access.ADMIN, test),
        View("GET", f"{below}/test", Access.READER, tested),
    ]


def _always(page: SettingsPage) -> Callable[[Portal], SettingsPage]:
    return lambda _: page


def _typed(config: Config, page: SettingsPage, name: str) -> Any:
    """What the field of a setting holds; a list without choices is one text."""
    found = filled(config.value(name))
    return ", ".join(found) if isinstance(found, list) and not page.choices.get(name) else found


def _changed(visit: Visit, config: Config, shown: list[Shown]) -> dict[str, str | None]:
    """What was typed that is not so yet, as the environment would have it; None is unset."""
    changed: dict[str, str | None] = {}
    for each in shown:
        # A box that is not ticked is not sent: a form that has not the field at all changes it.
        if not each.can_change:
            continue
        value = config.value(each.name)
        if each.secret:
            if visit.text(f"{_FORGET}{each.name}"):
                changed[each.name] = None
            elif typed := visit.text(each.name):
                changed[each.name] = typed
        elif each.kind == "list":
            chosen = visit.texts(each.name) if each.choices else _parts(visit.text(each.name))
            if chosen != value.value:
                changed[each.name] = None if chosen == value.setting.default else repr(chosen)
        elif each.kind == "bool":
            typed = visit.text(each.name) or "false"
            if typed != filled(value):
                changed[each.name] = typed
        else:
            typed = visit.text(each.name).strip()
            if typed != filled(value):
                changed[each.name] = typed or None
    return changed


def _refuse_other_host(
    config: Config, shown: list[Shown], changed: Mapping[str, str | None]
) -> None:
    """What is saved as a secret was meant for the host that an address named.

    Raises:
        InvalidValue: an address names another one, and a secret is to stay.
    """
    addresses = {each.name for each in shown if each.kind == "str" and not each.secret}
    moved = [
        name
        for name, text in changed.items()
        if name in addresses and (host := _host(text)) and host != _host(config[name])
    ]
    for each in shown:
        if moved and each.secret and each.is_set and each.name not in changed:
            what = "Type it again, or tick Forget it." if each.can_change else each.why
            raise InvalidValue(
                f"{moved[0]} names another host, which would get the {each.name} that is saved. "
                f"{what}"
            )


def _host(address: str | None) -> str:
    """With its scheme and port; empty when it is no address of a host."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.lower()}" if parts.netloc else ""


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
