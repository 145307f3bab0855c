"""Chapters that plugins bring to the docs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starlette.testclient import TestClient

from eportal_core import Guide, Product, db, hookimpl
from eportal_core.admin.app import admin_app
from eportal_core.operations import keys, users
from tests.support.plugins import Installed, opened

PASSWORD = "correct horse battery"
STEPS = (("Ask <it>:", "ask '@ADDRESS@/fans' @KEY@ && echo @OTHER@\n"),)


class Fans:
    @hookimpl
    def eportal_products(self) -> Iterable[Product]:
        return [Product("fans", "fans", "Fans"), Product("lamps", "lamps", "Lamps", default=False)]

    @hookimpl
    def eportal_guides(self, portal: object) -> Iterable[Guide]:
        return [
            Guide("Later", "For @KEY@.", (), "lamps", order=9),
            Guide("First", "How to get <b>one</b>.", STEPS, "fans", order=1),
            Guide("Last", "For all.", ()),
        ]


def test_chapters_are_filled_and_in_order(installed: Installed, data_dir: Path) -> None:
    installed.plugin("fans", Fans())
    portal = opened(installed.load(), data_dir, PORTAL_URL="https://portal.example.com:8443")
    with db.connection(), TestClient(admin_app(portal)) as client:
        users.add(portal, "rob", PASSWORD, readonly=True)
        assert client.get("/admin/docs/", follow_redirects=False).status_code == 303
        client.post("/admin/login", data={"username": "rob", "password": PASSWORD})
        text = client.get("/admin/docs/").text
        assert (
            "ask &#39;https://portal.example.com:8443/fans&#39; KEY &amp;&amp; echo @OTHER@<"
            in text
        )
        keys.add(portal, "K@KEY:1")
        text = client.get("/admin/docs/").text
        assert "How to get &lt;b&gt;one&lt;/b&gt;." in text
        assert "fans&#39; K@KEY:1 &amp;&amp;" in text
        assert "For K@KEY:1." in text
        places = [text.index(f"<h2>{title}</h2>") for title in ("First", "Later", "Last")]
        assert places == sorted(places)
        assert "The key K@KEY:1 is not for Lamps" in text
        assert "is not for Fans" not in text
        assert client.get("/admin/docs/", params={"key": "K2"}).status_code == 404
    db.close()
