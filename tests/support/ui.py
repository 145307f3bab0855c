"""A portal with users, and browsers that look at its pages and complain of what is wrong there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eportal_core import db
from eportal_core.operations import users
from eportal_core.portal import Portal
from tests.support.browser import browser, new_page
from tests.support.opening import opened
from tests.support.serving import Served, serving

#: Pictures of pages are left here, for people to look at; git ignores it.
PICTURES = Path(__file__).parents[2] / ".screenshots"
PASSWORD = "correct horse battery"
#: A telephone, CSS pixels.
NARROW = {"width": 390, "height": 844}
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Site:
    """A served portal; ``anna`` is an administrator, ``rob`` readonly.

    portal: the same one, open in this process, with a database connection: tests make their world
    by it. running: the browser.
    """

    portal: Portal
    served: Served
    running: Any
    _pages: dict[tuple[str, bool, bool], Visitor] = field(default_factory=dict)

    def visitor(
        self, username: str = "anna", *, narrow: bool = False, dark: bool = False
    ) -> Visitor:
        """A browser in which this user is logged in; the same one for the same arguments."""
        wanted = (username, narrow, dark)
        if wanted not in self._pages:
            self._pages[wanted] = self._log_in(username, narrow, dark)
        return self._pages[wanted]

    def _log_in(self, username: str, narrow: bool, dark: bool) -> Visitor:
        options: dict[str, Any] = {"color_scheme": "dark" if dark else "light"}
        if narrow:
            options["viewport"] = NARROW
        page = new_page(self.running, timezone_id="Asia/Tokyo", locale="en-GB", **options)
        visitor = Visitor(page, self.served.url)
        page.goto(f"{self.served.url}/admin/login")
        page.get_by_label("User name").fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url(f"{self.served.url}/admin/")
        return visitor


class Visitor:
    """A browser's page. ``page`` is Playwright's; what goes wrong in it is kept until ``check``."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.strangers: list[str] = []
        self.thrown: list[str] = []
        self.refusals: tuple[str, ...] = ()
        page.on("request", self._note)
        page.on("response", self._note_refusal)
        page.on("pageerror", lambda error: self.thrown.append(str(error)))

    def open(self, path: str, status: int = 200) -> Any:
        """Go to a path and check what is there; returns Playwright's page."""
        answer = self.page.goto(f"{self.url}{path}")
        assert answer.status == status, (path, answer.status, self.page.inner_text("body"))
        self.check()
        return self.page

    def check(self) -> None:
        """Nothing was complained of, nobody else was asked, nothing sticks out at the side."""
        # Browsers complain of a page that is answered by an error, such as a form that is refused.
        complaints = [said for said in self.page.complaints if not said.endswith(self.refusals)]
        assert not complaints, complaints
        assert self.thrown == []
        assert self.strangers == []
        assert self.page.evaluate(_OVERFLOW) <= 0, f"{self.page.url} is wider than the window"

    def picture(self, name: str) -> None:
        """Leave a picture of the whole page."""
        PICTURES.mkdir(exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    def told(self) -> str:
        """The sentence that the page shows once."""
        text: str = self.page.locator(".alert").first.inner_text()
        return text.strip()

    def _note_refusal(self, answer: Any) -> None:
        if answer.status >= 400 and answer.request.is_navigation_request():
            self.refusals += (f"status of {answer.status} ({answer.status_text})",)

    def _note(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.strangers.append(request.url)


@contextmanager
def site(data_dir: Path, **settings: str) -> Iterator[Site]:
    """Serve a fresh portal on ``data_dir`` until the block ends.

    In a module that uses it, no test uses the fixture ``portal``: a process has one database.
    """
    portal = opened(data_dir)
    with db.connection():
        users.add(portal, "anna", PASSWORD, readonly=False, note="Runs the machines")
        users.add(portal, "rob", PASSWORD, readonly=True)
        with serving(data_dir, **settings) as served, browser() as running:
            yield Site(portal, served, running)
    db.close()
