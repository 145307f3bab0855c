"""The HTTP API: what public clients send, in every form, and what they are answered.

The requests are those of section B of the protocol, but for servers.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from eportal_core import db
from eportal_core.models import ApiKey, Change, now
from eportal_core.operations import feeds, keys, offers, patchsets, servers
from eportal_core.portal import Portal
from eportal_core.source import layout
from tests.support.api import ADMIN, FORMS, Api
from tests.support.opening import opened
from tests.support.patches import DB, KERNEL, WEB, archive
from tests.support.serving import Served, serving

OLD, NEW, OFFERED = "K04082020_1", "K20251119_03", "K20260101_01"
MAIN_FEED = {"name": "main", "auto": False, "deploy_after": 0, "channel": "default"}
KEY = {
    "key": "4jGp0d5q8NkL1xYz",
    "feed": "main",
    "note": "",
    "server_limit": 0,
    "products": ["kernel"],
    "enabled": True,
    "servers": 1,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory: a feed ``test``, a key with a server, two patchsets and one offered."""
    folder = tmp_path_factory.mktemp("world")
    portal = opened(folder / "var")
    with db.connection():
        Api(portal)
        feeds.add(portal, "test", auto=True, deploy_after=24, channel="test")
        keys.add(portal, KEY["key"], products=["kernel"])
        servers.register(portal, KEY["key"], "web1.example.com", "10.0.0.1")
        for level, name in enumerate((OLD, NEW), 1):
            patchsets.deploy(portal, KERNEL, archive(folder, name, {WEB: level, DB: level}))
        offers.store(portal, [offer(OFFERED, ("almalinux9", "debian12"))])
    db.close()
    return folder / "var"


def offer(name: str, distros: tuple[str, ...]) -> layout.Offer:
    return layout.Offer(
        product="kernel",
        name=name,
        archive=f"kernel/{name}.tar.bz2",
        size=1234,
        sha256="0" * 64,
        meta=f"kernel/{name}.meta.json",
        meta_size=1,
        meta_sha256="0" * 64,
        released="2026-01-01",
        channels=("default",),
        distros=distros,
        state="available",
    )


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "var")


@pytest.fixture
def portal(data_dir: Path) -> Iterator[Portal]:
    """With a patch source, so that what is listed may yet come; nobody asks it."""
    fresh = opened(data_dir, PATCH_SOURCE_URL="http://127.0.0.1:9/")
    with db.connection():
        yield fresh
    db.close()


@pytest.fixture
def api(portal: Portal) -> Api:
    return Api(portal)


@dataclass(frozen=True)
class Request:
    """A call as a client makes it, and the JSON that it is answered with."""

    line: str
    answer: Any
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.line.split()[0]

    @property
    def path(self) -> str:
        return self.line.split()[1]


TEST_FEED = {"name": "test", "auto": True, "deploy_after": 24, "channel": "test"}
REQUESTS = {
    "feeds": Request("GET /feeds", {"result": [MAIN_FEED, TEST_FEED]}),
    "new feed": Request(
        "POST /feeds",
        {"result": {"name": "12h", "auto": True, "deploy_after": 12, "channel": "default"}},
        {"name": "12h", "auto": True, "deploy_after": 12},
    ),
    "new feed with nothing said": Request(
        "POST /feeds", {"result": {**MAIN_FEED, "name": "new"}}, {"name": "new"}
    ),
    "new feed with everything said": Request(
        "POST /feeds",
        {"result": {"name": "new", "auto": False, "deploy_after": 8760, "channel": "unstable"}},
        {"name": "new", "auto": False, "deploy_after": 8760, "channel": "unstable"},
    ),
    "changed feed": Request(
        "POST /feeds", {"result": {**TEST_FEED, "auto": False}}, {"name": "test", "auto": False}
    ),
    "feed gone": Request("DELETE /feeds/test", {"result": 1}),
    "feed that was not there": Request("DELETE /feeds/none", {"result": 0}),
    "keys": Request("GET /keys", {"result": [KEY]}),
    "new key": Request(
        "POST /keys",
        {
            "result": {
                "key": "new",
                "feed": "test",
                "note": "of the north",
                "server_limit": 10,
                "products": ["db", "kernel"],
                "enabled": True,
                "servers": 0,
            }
        },
        {
            "key": "new",
            "feed": "test",
            "note": "of the north",
            "server_limit": 10,
            "product": ["kernel", "db"],
        },
    ),
    "new key with nothing said": Request(
        "POST /keys",
        {
            "result": {
                **KEY,
                "key": "new",
                "products": ["db", "kernel", "libcare", "qemu"],
                "servers": 0,
            }
        },
        {"key": "new"},
    ),
    "changed key": Request(
        "POST /keys",
        {"result": {**KEY, "server_limit": 7}},
        {"key": KEY["key"], "server_limit": 7},
    ),
    "locked key": Request(
        "POST /keys", {"result": {**KEY, "enabled": False}}, {"key": KEY["key"], "enabled": False}
    ),
    "key gone": Request(f"DELETE /keys/{KEY['key']}", {"result": 1}),
    "key that was not there": Request("DELETE /keys/none", {"result": 0}),
    "enable": Request(
        "POST /patchsets/manage",
        {"result": "ok"},
        {"patchset": NEW, "feed": ["main", "test"], "action": "enable", "product": "kernel"},
    ),
    "disable": Request(
        "POST /patchsets/manage",
        {"result": "ok"},
        {"patchset": NEW, "feed": ["test"], "action": "disable"},
    ),
    "enable up to": Request(
        "POST /patchsets/manage",
        {"result": "ok"},
        {"patchset": NEW, "feed": ["test"], "action": "enable-upto", "product": "kernel"},
    ),
    "undeploy down to": Request(
        "POST /patchsets/manage",
        {"result": "ok"},
        {"patchset": NEW, "feed": ["main", "test"], "action": "undeploy-downto"},
    ),
    "users": Request(
        "GET /users",
        {
            "result": [
                {
                    "id": 1,
                    "username": "admin",
                    "description": "",
                    "readonly": False,
                    "backend": "local",
                }
            ]
        },
    ),
}


#: What a body may be when there is nothing to say.
QUIET = ("query", "query, json without a body", "query, json null")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, form)
        for name, request in REQUESTS.items()
        for form in (FORMS if request.arguments else QUIET)
    ],
)
def test_a_request_is_answered_alike_in_every_form(api: Api, name: str, form: str) -> None:
    """And once more, with a slash at the end or without: what was done is not done twice."""
    asked = REQUESTS[name]
    options = FORMS[form](asked.arguments)
    assert api.ok(asked.method, asked.path, **options) == asked.answer
    before = Change.select().count()
    again = {"result": 0} if asked.method == "DELETE" else asked.answer
    assert api.ok(asked.method, f"{asked.path}/", **options) == again
    assert Change.select().count() == before


def test_patchsets_are_listed_oldest_first_with_their_status(api: Api) -> None:
    listed = api.ok("GET", "/patchsets/?feed=main&product=kernel")["result"]
    assert [(row["patchset"], row["status"]) for row in listed] == [
        (OLD, "enabled"),
        (NEW, "enabled"),
        (OFFERED, "not-downloaded"),
    ]
    appeared = listed[2].pop("appeared")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", appeared)
    assert listed[2] == {
        "patchset": OFFERED,
        "status": "not-downloaded",
        "released": "2026-01-01",
        "distros": ["almalinux9", "debian12"],
        "channels": ["default"],
        "size": 1234,
        "withdrawn": False,
        "feeds": {"main": "not-downloaded"},
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", [OLD, NEW, OFFERED]),
        ("feed=test", [OLD, NEW, OFFERED]),
        ("product=kernel&distro=almalinux9&distro=ubuntu24.04", [OFFERED]),
        ("distro=ubuntu24.04", []),
        ("status=enabled", [OLD, NEW]),
        ("feed=test&status=undeployed", [OLD, NEW]),
        ("product=user", []),
        ("product=libcare", []),
        ("product=qemu", []),
        ("product=db", []),
    ],
)
def test_patchsets_are_chosen(api: Api, query: str, names: list[str]) -> None:
    rows = api.ok("GET", f"/patchsets/?{query}")["result"]
    assert [row["patchset"] for row in rows] == names


def test_what_is_managed_shows_in_each_feed_that_was_named(api: Api) -> None:
    def states() -> list[dict[str, str]]:
        return [row["feeds"] for row in api.ok("GET", "/patchsets")["result"][:2]]

    manage = "/patchsets/manage?product=kernel&patchset="
    api.ok("POST", f"{manage}{NEW}&feed=main&feed=test&action=disable")
    assert states() == [
        {"main": "enabled", "test": "undeployed"},
        {"main": "disabled", "test": "disabled"},
    ]
    api.ok("POST", f"{manage}{NEW}&feed=main&feed=test&action=enable-upto")
    assert states() == [
        {"main": "enabled", "test": "enabled"},
        {"main": "disabled", "test": "disabled"},
    ]
    api.ok("POST", f"{manage}{NEW}&feed=test&action=enable")
    api.ok("POST", f"{manage}{OLD}&feed=test&action=undeploy-downto")
    assert states() == [
        {"main": "enabled", "test": "undeployed"},
        {"main": "disabled", "test": "undeployed"},
    ]


@pytest.mark.parametrize("line", ["/feeds/main", "/feeds/", "/keys/"])
def test_of_several_feeds_none_is_changed_when_one_is_not_there(api: Api, line: str) -> None:
    before = api.ok("GET", "/patchsets")
    arguments = {"patchset": NEW, "action": "disable", "feed": ["main", line]}
    api.refused("POST", "/patchsets/manage", 404, json=arguments)
    assert api.ok("GET", "/patchsets") == before


class TestArguments:
    def test_the_last_of_two_counts_and_the_body_wins(self, api: Api) -> None:
        said = api.ok("POST", "/keys?key=a&note=1&note=2&server_limit=5", data={"key": "b"})
        assert (said["result"]["key"], said["result"]["note"]) == ("b", "2")

    def test_null_and_nothing_leave_what_is_there(self, api: Api) -> None:
        api.ok("POST", "/keys", json={"key": "k", "note": "n", "server_limit": 5, "feed": "test"})
        for nothing in (
            {"json": {"note": None, "server_limit": None, "feed": None, "product": None}},
            {"params": {"server_limit": "", "feed": "", "product": ""}},
        ):
            nothing.setdefault("params", {})["key"] = "k"
            row = api.ok("POST", "/keys", **nothing)["result"]
            assert (row["note"], row["server_limit"], row["feed"]) == ("n", 5, "test")

    def test_a_note_can_be_emptied(self, api: Api) -> None:
        api.ok("POST", "/keys?key=k&note=n")
        assert api.ok("POST", "/keys?key=k&note=")["result"]["note"] == ""

    def test_a_list_of_nothing_brings_the_default_products_back(self, api: Api) -> None:
        assert api.ok("POST", "/keys?key=k&product=db")["result"]["products"] == ["db"]
        said = api.ok("POST", "/keys", json={"key": "k", "product": []})
        assert said["result"]["products"] == ["db", "kernel", "libcare", "qemu"]

    def test_a_key_without_a_name_is_made_up(self, api: Api) -> None:
        made = api.ok("POST", "/keys/", headers={"Content-Type": "application/json"})["result"]
        assert re.fullmatch("[A-Za-z0-9]{16}", made["key"])
        assert made in api.ok("GET", "/keys")["result"]

    def test_what_is_not_known_is_let_be(self, api: Api) -> None:
        assert api.ok("GET", "/feeds?colour=blue&_=1764000000")["result"]

    def test_names_with_percent_and_plus_are_decoded_once(self, api: Api) -> None:
        made = api.ok("POST", "/keys?key=a%2Bb&note=100%25%20%2525")["result"]
        assert (made["key"], made["note"]) == ("a+b", "100% %25")
        assert api.ok("DELETE", "/keys/a%2Bb") == {"result": 1}


BAD = {"content": b"{", "headers": {"Content-Type": "application/json"}}
REFUSALS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no name": ("POST", "/feeds", {}, 400, "invalid-value"),
    "not JSON": ("POST", "/feeds", BAD, 400, "invalid-value"),
    "no object": ("POST", "/feeds", {"json": [1]}, 400, "invalid-value"),
    "no number": ("POST", "/keys?key=k&server_limit=many", {}, 400, "invalid-value"),
    "no truth": ("POST", "/feeds?name=f&auto=perhaps", {}, 400, "invalid-value"),
    "bad feed": ("POST", "/feeds?name=..", {}, 400, "invalid-value"),
    "a slash in a name": ("POST", "/feeds", {"json": {"name": "a/b"}}, 400, "invalid-value"),
    "NUL": ("POST", "/keys", {"json": {"key": "a\0b"}}, 400, "invalid-value"),
    "half a character": (
        "POST",
        "/keys",
        {"content": b'{"note": "\\ud800"}', "headers": {"Content-Type": "application/json"}},
        400,
        "invalid-value",
    ),
    "a huge number": ("POST", "/keys", {"json": {"server_limit": 10**30}}, 400, "invalid-value"),
    "no such action": (
        "POST",
        f"/patchsets/manage?patchset={NEW}&action=explode",
        {},
        400,
        "invalid-value",
    ),
    "no such feed": ("POST", "/keys?feed=none", {}, 404, "not-found"),
    "no such product": ("POST", "/keys?product=none", {}, 404, "not-found"),
    "no such patchset": (
        "POST",
        "/patchsets/manage?patchset=K1&action=enable",
        {},
        404,
        "not-found",
    ),
    "no such product to list": ("GET", "/patchsets?product=none", {}, 404, "not-found"),
    "no such feed to list": ("GET", "/patchsets?feed=none", {}, 404, "not-found"),
    "main gone": ("DELETE", "/feeds/main", {}, 400, "invalid-value"),
    "main automatic": ("POST", "/feeds?name=main&auto=true", {}, 400, "invalid-value"),
    "the last administrator gone": ("DELETE", "/users/admin", {}, 409, "conflict"),
    "the last administrator readonly": ("POST", "/users/admin?readonly=1", {}, 409, "conflict"),
    "a user once more": ("POST", "/users?username=admin&password=12345", {}, 409, "conflict"),
    "a short password": ("POST", "/users?username=x&password=1234", {}, 400, "invalid-value"),
    "no such user": ("POST", "/users/none?note=x", {}, 404, "not-found"),
    "no such job": ("POST", "/jobs/none/run", {}, 404, "not-found"),
    "no such path": ("GET", "/nothing", {}, 404, "not-found"),
    "a slash in the path": ("DELETE", "/feeds/a%2Fb", {}, 404, "not-found"),
    "not that method": ("PUT", "/feeds", {}, 405, "method-not-allowed"),
    "a body of 2 MiB": ("POST", "/feeds", {"content": b" " * 2**21}, 413, "too-large"),
    "a form of 2 MiB": ("POST", "/feeds", {"data": {"name": "x" * 2**21}}, 413, "too-large"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_a_code_and_a_sentence_and_leaves_nothing(api: Api, name: str) -> None:
    method, path, options, status, code = REFUSALS[name]
    before = Change.select().count()
    options = dict(options)
    if name == "a body of 2 MiB":
        options["headers"] = {"Content-Type": "application/json"}
    assert api.refused(method, path, status, **options)[0] == code
    assert Change.select().count() == before


def test_tens_of_thousands_of_arguments_take_no_time(api: Api) -> None:
    """They are read before anybody is asked who he is, while all others wait."""
    began = time.monotonic()
    assert api.ok("GET", f"/feeds?{'&'.join(map(str, range(12_000)))}")["result"]
    assert time.monotonic() - began < 5


def test_times_of_the_log_need_no_seconds(api: Api) -> None:
    api.ok("POST", "/feeds?name=f")
    for since in ("2000-01-01", "2000-01-01T00:00", "2000-01-01T00:00:00Z", ""):
        assert api.ok("GET", "/log", params={"since": since})["result"], since
    assert api.ok("GET", "/log?since=2999-01-01T00:00")["result"] == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("POST /feeds", "name is missing."),
        ("POST /keys?server_limit=many", "server_limit must be a whole number."),
        ("POST /feeds?name=f&auto=perhaps", "auto must be true or false."),
        ("GET /log?limit=0", "limit must be a whole number >= 1."),
        ("GET /log?limit=1001", "limit must be a whole number <= 1000."),
        ("GET /log?since=yesterday", "since: write a time as 2026-11-22 or 2026-11-22T09:30."),
        (
            "POST /patchsets/manage?patchset=K1&action=explode",
            "action must be one of enable, disable, enable-upto, undeploy-downto.",
        ),
    ],
)
def test_what_was_wrong_is_named(api: Api, line: str, sentence: str) -> None:
    assert api.refused(*line.split(), status=400)[1] == sentence


def test_a_list_of_something_else_is_named(api: Api) -> None:
    said = api.refused("POST", "/keys", 400, json={"product": [1]})
    assert said == ("invalid-value", "product must be a list of texts.")


def test_405_tells_what_the_path_answers(api: Api) -> None:
    answer = api.call("PUT", "/feeds")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


class TestWhoCalls:
    def test_nobody_is_asked_for_a_password(self, api: Api) -> None:
        answer = api.call("GET", "/feeds", auth=None)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert answer.json()["error"] == "access-denied"

    @pytest.mark.parametrize("auth", [("admin", "wrong"), ("nobody", "AdminPassword"), ("", "")])
    def test_a_wrong_password_is_401(self, api: Api, auth: tuple[str, str]) -> None:
        assert api.refused("GET", "/feeds", 401, auth=auth)[0] == "access-denied"

    def test_a_wrong_api_key_is_401_even_beside_a_right_password(self, api: Api) -> None:
        assert api.refused("GET", "/feeds", 401, headers={"X-Api-Key": "x" * 43})

    def test_a_readonly_user_is_403(self, api: Api) -> None:
        api.ok("POST", "/users", data={"username": "reader", "password": "reader"})
        reader = ("reader", "reader")
        assert api.ok("GET", "/feeds", auth=reader)
        assert api.refused("POST", "/feeds?name=f", 403, auth=reader)[0] == "forbidden"

    def test_passwords_that_are_wrong_too_often_are_429(self, api: Api) -> None:
        statuses = [
            api.call("GET", "/feeds", auth=("admin", f"guess {number}")).status_code
            for number in range(8)
        ]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        answer = api.call("GET", "/feeds", auth=("admin", "another guess"))
        assert answer.json().keys() == {"error", "detail"}
        assert int(answer.headers["retry-after"]) > 0


class TestApiKeys:
    def test_a_token_is_43_characters_and_told_once(self, api: Api) -> None:
        made = api.ok("POST", "/api_keys", data={"name": "ci"})
        assert re.fullmatch("[A-Za-z0-9_-]{43}", made["token"])
        (listed,) = api.ok("GET", "/api_keys")["result"]
        assert (listed["id"], listed["user"], listed["scope"]) == (made["id"], "admin", "read")
        assert made["token"] not in api.call("GET", "/api_keys").text

    def test_it_calls_as_its_user_until_it_is_deleted(self, api: Api) -> None:
        made = api.ok("POST", "/api_keys", data={"name": "ci", "write": "true"})
        key = {"auth": None, "headers": {"X-Api-Key": made["token"]}}
        assert api.ok("POST", "/feeds?name=f", **key)["result"]["name"] == "f"
        assert api.ok("GET", "/whoami", **key) == {
            "username": "admin",
            "backend": "local",
            "readonly": False,
            "means": "API key ci",
        }
        assert api.ok("GET", "/api_keys")["result"][0]["used"]
        assert api.ok("DELETE", f"/api_keys/{made['id']}") == {"result": 1}
        assert api.ok("DELETE", f"/api_keys/{made['id']}") == {"result": 0}
        assert api.refused("GET", "/feeds", 401, **key)

    @pytest.mark.parametrize("what", ["feed", "product"])
    def test_a_list_of_nothing_is_not_all(self, api: Api, what: str) -> None:
        for given in ({"json": {"name": "ci", what: []}}, {"params": {"name": "ci", what: ""}}):
            detail = api.refused("POST", "/api_keys", 400, **given)[1]
            assert detail == f"Name a {what} at least, or no list: then the key is for all."
        api.refused("POST", "/api_keys", 400, json={"name": "ci", what: [None]})
        assert api.ok("GET", "/api_keys")["result"] == []

    def test_one_for_a_feed_moves_no_key_out_of_it(self, api: Api) -> None:
        """The keys of a feed that is deleted move to ``main``."""
        for limits, status in (["test"], 403), (["test", "main"], 200):
            wanted = {"name": f"ci {status}", "write": True, "feed": limits}
            token = api.ok("POST", "/api_keys", json=wanted)["token"]
            key = {"auth": None, "headers": {"X-Api-Key": token}}
            assert api.call("DELETE", "/feeds/test", **key).status_code == status

    def test_it_makes_and_deletes_no_api_key(self, api: Api) -> None:
        made = api.ok("POST", "/api_keys", data={"name": "ci", "write": "true"})
        key = {"auth": None, "headers": {"X-Api-Key": made["token"]}}
        assert api.refused("POST", "/api_keys?name=more", 403, **key)
        assert api.refused("DELETE", f"/api_keys/{made['id']}", 403, **key)

    def test_one_for_a_feed_sees_and_changes_that_alone(self, api: Api) -> None:
        made = api.ok("POST", "/api_keys", json={"name": "t", "write": True, "feed": ["test"]})
        key = {"auth": None, "headers": {"X-Api-Key": made["token"]}}
        assert [row["name"] for row in api.ok("GET", "/feeds", **key)["result"]] == ["test"]
        assert api.ok("GET", "/keys", **key) == {"result": []}
        api.ok("POST", "/feeds?name=test&auto=false", **key)
        assert api.refused("POST", "/feeds?name=main&deploy_after=1", 403, **key)
        assert api.refused("POST", "/feeds?name=new", 403, **key)
        assert api.refused("POST", "/keys?key=mine", 403, **key)
        api.ok("POST", "/keys?key=mine&feed=test", **key)
        # Its feed need not be said again, and it can be brought to no other one.
        assert api.ok("POST", "/keys?key=mine&note=n", **key)["result"]["feed"] == "test"
        assert api.refused("POST", "/keys?key=mine&feed=main", 403, **key)
        assert api.refused("POST", f"/keys?key={KEY['key']}&feed=test", 403, **key)
        assert api.refused("DELETE", f"/keys/{KEY['key']}", 403, **key)
        manage = f"/patchsets/manage?patchset={NEW}&action=enable"
        api.ok("POST", f"{manage}&feed=test", **key)
        assert api.refused("POST", manage, 403, **key)
        assert api.refused("POST", f"{manage}&feed=test&feed=main", 403, **key)
        assert api.refused("GET", "/patchsets", 403, **key)
        seen = api.ok("GET", "/patchsets?feed=test", **key)["result"]
        assert {feed for row in seen for feed in row["feeds"]} == {"test"}

    def test_one_for_a_product_changes_that_alone(self, api: Api) -> None:
        made = api.ok("POST", "/api_keys", json={"name": "d", "write": True, "product": ["db"]})
        key = {"auth": None, "headers": {"X-Api-Key": made["token"]}}
        assert api.ok("GET", "/patchsets?product=db", **key) == {"result": []}
        assert api.refused("GET", "/patchsets?product=kernel", 403, **key)
        manage = f"/patchsets/manage?patchset={NEW}&action=enable"
        assert api.refused("POST", manage, 403, **key)
        assert api.refused("POST", "/feeds?name=f", 403, **key)
        assert api.refused("DELETE", "/feeds/test", 403, **key)
        assert api.refused("POST", "/keys?key=k&product=db", 403, **key)

    def test_one_whose_time_is_over_opens_nothing(self, api: Api) -> None:
        made = api.ok("POST", "/api_keys", data={"name": "brief", "days": 1})
        key = {"auth": None, "headers": {"X-Api-Key": made["token"]}}
        assert api.ok("GET", "/feeds", **key)
        ApiKey.update(expires=now() - timedelta(seconds=1)).execute()
        assert api.refused("GET", "/feeds", 401, **key)

    def test_one_may_no_more_than_its_user_may_now(self, api: Api) -> None:
        api.ok("POST", "/users?username=bob&password=bob-bob&readonly=false")
        made = api.ok("POST", "/api_keys?name=b&write=true", auth=("bob", "bob-bob"))
        key = {"auth": None, "headers": {"X-Api-Key": made["token"]}}
        api.ok("POST", "/feeds?name=f", **key)
        api.ok("POST", "/users/bob?readonly=true")
        assert api.refused("POST", "/feeds?name=g", 403, **key)
        api.ok("DELETE", "/users/bob")
        assert api.refused("GET", "/feeds", 401, **key)

    def test_others_see_and_delete_none_of_it(self, api: Api) -> None:
        made = api.ok("POST", "/api_keys?name=mine")
        api.ok("POST", "/users?username=bob&password=bob-bob")
        bob = {"auth": ("bob", "bob-bob")}
        assert api.ok("GET", "/api_keys", **bob) == {"result": []}
        assert api.refused("DELETE", f"/api_keys/{made['id']}", 403, **bob)


class TestAtOnce:
    """A real portal, many clients."""

    @pytest.fixture
    def served(self, data_dir: Path) -> Iterator[Served]:
        with serving(data_dir) as portal:
            yield portal

    def test_many_upserts_lose_nothing(self, served: Served) -> None:
        def put(path: str, **arguments: Any) -> int:
            url = f"{served.url}/admin/api/{path}"
            return requests.post(url, json=arguments, auth=ADMIN, timeout=60).status_code

        calls = [
            *({"path": "keys", "key": "same", "note": "n"} for _ in range(10)),
            *({"path": "keys", "key": "same", "server_limit": 5} for _ in range(10)),
            *({"path": "keys", "key": "same", "product": ["db"]} for _ in range(10)),
            *({"path": "keys", "key": f"key{n}"} for n in range(20)),
            *({"path": "feeds", "name": "new", "auto": True} for _ in range(10)),
            *({"path": "feeds", "name": "new", "deploy_after": 7} for _ in range(10)),
        ]
        with ThreadPoolExecutor(12) as pool:
            statuses = list(pool.map(lambda call: put(**call), calls))
        assert set(statuses) == {200}
        listed = {row["key"]: row for row in served.cli.json("key")}
        assert {f"key{n}" for n in range(20)} <= listed.keys()
        same = listed["same"]
        assert (same["note"], same["server_limit"], same["products"]) == ("n", 5, ["db"])
        (feed,) = [row for row in served.cli.json("feed") if row["name"] == "new"]
        assert (feed["auto"], feed["deploy_after"]) == (True, 7)
        assert "entries are whole" in served.cli.ok("log", "verify")

    def test_a_body_that_is_too_large_is_refused_while_it_comes(self, served: Served) -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(64):
                yield b" " * 65536

        answer = requests.post(
            f"{served.url}/admin/api/feeds",
            data=endless(),
            headers={"Content-Type": "application/json"},
            auth=ADMIN,
            timeout=30,
        )
        assert (answer.status_code, answer.json()["error"]) == (413, "too-large")
