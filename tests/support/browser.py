"""A real browser that sees nothing but this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
#: Names lead nowhere: pages of others may name fonts and scripts of the internet.
_ARGUMENTS = (
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
#: Milliseconds that a page has for what is expected of it.
TIMEOUT = 60_000


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window; each of its contexts knows nothing of the others."""
    assert PROGRAM, "chromium is not installed: scripts/test installs what tests need"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=PROGRAM, args=list(_ARGUMENTS))
        try:
            yield running
        finally:
            running.close()


def new_page(running: Browser, **options: Any) -> Any:
    """A page of a fresh profile; ``complaints`` of it is what its console called errors."""
    page: Any = running.new_context(**options).new_page()
    page.set_default_timeout(TIMEOUT)
    page.complaints = []
    page.on("console", lambda said: said.type == "error" and page.complaints.append(said.text))
    return page
