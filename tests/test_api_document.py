"""The OpenAPI document: valid, and true of what the portal does when a machine tries it out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import openapi_spec_validator
import pytest
import requests

from eportal_core import db
from eportal_core.admin.api.routes import OPERATIONS
from eportal_core.portal import Portal
from tests.support.api import ADMIN, Api
from tests.support.opening import opened
from tests.support.serving import Served

#: It deletes the user that calls, or takes seconds for each call: passwords are hashed.
NOT_TRIED = ("add_user", "change_user", "delete_user", "run_job_now", "end_session", "end_sessions")
#: Beside these there are some that hold every API to more than ours says of itself, such as that
#: a number is never accepted as text.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
#: That it may take, of which the first part is the same in every run.
SECONDS = 45


@pytest.fixture
def api(portal: Portal) -> Api:
    return Api(portal)


def test_the_document_is_valid(api: Api) -> None:
    document = api.ok("GET", "/openapi.json")
    openapi_spec_validator.validate(document)
    assert document["openapi"].startswith("3.1.")


def test_every_operation_is_in_it_with_whom_it_is_for(api: Api) -> None:
    paths = api.ok("GET", "/openapi.json")["paths"]
    for operation in OPERATIONS:
        described = paths[operation.path][operation.method.lower()]
        assert described["operationId"] == operation.name
        assert described["summary"].endswith(".")
        assert operation.access.value in described["description"]
    assert sum(len(methods) for methods in paths.values()) == len(OPERATIONS)


def test_the_header_of_api_keys_is_the_one_that_is_set(data_dir: Path) -> None:
    portal = opened(data_dir, API_AUTH_HEADER="X-Other")
    with db.connection():
        api = Api(portal)
        token = api.ok("POST", "/api_keys?name=ci")["token"]
        document = api.ok("GET", "/openapi.json", auth=None, headers={"X-Other": token})
        assert api.refused("GET", "/feeds", 401, auth=None, headers={"X-Api-Key": token})
    db.close()
    assert document["components"]["securitySchemes"]["key"]["name"] == "X-Other"


def test_a_machine_that_tries_everything_finds_it_true(served: Served, tmp_path: Path) -> None:
    """Reading and writing operations; what it makes is sometimes valid, and mostly is not."""
    served.cli.ok("user", "-a", "-p", ADMIN[1], ADMIN[0])
    served.cli.ok("key", "-a", "K")
    served.register("K")
    excluded = [part for name in NOT_TRIED for part in ("--exclude-operation-id", name)]
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{served.url}/admin/api/openapi.json",
            f"--auth={':'.join(ADMIN)}",
            f"--checks={','.join(CHECKS)}",
            f"--max-time={SECONDS}",
            "--max-examples=25",
            # With more of them, CPython 3.11 loses count of the depth of syntax trees.
            "--workers=1",
            "--phases=coverage,fuzzing",
            "--seed=5",
            "--generation-with-security-parameters=false",
            "--no-color",
            "--continue-on-failure",
            *excluded,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert requests.get(f"{served.url}/readyz", timeout=10).ok
    assert "Traceback" not in served.log.read_text()
    assert "entries are whole" in served.cli.ok("log", "verify")
