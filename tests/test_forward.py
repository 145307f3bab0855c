"""What the agent process passes on to the admin process: what came, and nothing of its own."""

from __future__ import annotations

import http.client
from contextlib import closing
from urllib.parse import urlsplit

import requests

from tests.support.serving import Served

USER = ("anna", "secret")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def status(served: Served, method: str, *headers: tuple[str, str], body: bytes = b"") -> int:
    """Of ``/admin/login``, asked with these very headers."""
    with closing(http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)) as client:
        client.putrequest(method, "/admin/login", skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            client.putheader(name, value)
        client.endheaders(body or None)
        return client.getresponse().status


def test_a_browser_without_a_name_gets_none(served: Served) -> None:
    served.cli.ok("user", "-a", "-p", "secret", "anna")
    body = b"username=anna&password=secret"
    length = ("Content-Length", str(len(body)))
    assert status(served, "POST", ("Host", "a"), FORM, length, body=body) == 303
    answer = requests.get(f"{served.url}/admin/api/sessions", auth=USER, timeout=10)
    assert [session["agent"] for session in answer.json()["result"]] == [""]


def test_what_cannot_be_passed_on_is_the_clients_fault(served: Served) -> None:
    assert status(served, "GET", ("Host", "a"), ("X-Blank", "a ")) == 200
    assert status(served, "GET", ("Host", "a"), ("Cookie", "a=b \t")) == 200
    assert status(served, "GET", ("Host", "a"), ("Host", "b")) == 400
    assert status(served, "GET", ("Host", "a")) == 200


def test_the_address_alone_leads_to_the_pages(served: Served) -> None:
    answer = requests.get(served.url, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")
