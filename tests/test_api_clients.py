"""Programs that people use against the HTTP API, run for real: curl and Ansible.

The curl lines and the playbook are quoted from the vendor's documents, with another address; the
indentation and the ``tasks`` that a copy of the playbook lost are restored.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.serving import Served, serving

CURL = (
    "curl --user admin:admin-password -X POST "
    "http://your-eportal-domain/admin/api/delete_server?ip=10.51.16.72"
)
#: Of the Puppet task, word for word; the copy has the password where the name belongs.
TASK = """\
curl -kL -u "${EPORTAL_API_USERNAME}"':'"${EPORTAL_API_PASSWORD}" -X POST \
"${EPORTAL_URL}"'/admin/api/delete_server?ip='"${IP_TO_UNREGISTER}"
"""
PLAYBOOK = """\
- hosts: kernelcare
  gather_facts: no
  vars:
    eportal_srv: URL
    ansible_default_ipv4: {address: 10.51.16.72}
  tasks:
    - name: unregister kernelcare agent through API
      uri:
        url: "{{ eportal_srv }}/admin/api/delete_server?ip={{ ansible_default_ipv4.address\
|default(ansible_all_ipv4_addresses[0]) }}"
        method: POST
        user: api-user
        password: dummy
        force_basic_auth: yes
"""
TAGS = """\
- hosts: kernelcare
  gather_facts: no
  tasks:
    - name: tag the server
      uri:
        url: "URL/admin/api/set_tags"
        method: POST
        user: api-user
        password: dummy
        force_basic_auth: yes
        body_format: BODY
        body: {server_id: SERVER, tags: "env:prod;ubuntu"}
        return_content: yes
      register: answer
    - assert: {that: answer.json.result == 1}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One portal for all tests: each of them begins without servers."""
    with serving(tmp_path_factory.mktemp("served") / "var", TRUSTED_PROXIES="127.0.0.1") as portal:
        portal.cli.ok("key", "-a", "K")
        portal.cli.ok("-a", "api-user", "-p", "dummy")
        portal.cli.ok("-a", "admin", "-p", "admin-password")
        yield portal


@pytest.fixture
def fleet(served: Served) -> Iterator[dict[str, str]]:
    """Host name -> id of two servers, of which the first has the address of the documents."""
    ids = {}
    for name, address in (("web1", "10.51.16.72"), ("web2", "10.51.16.73")):
        answer = requests.post(
            f"{served.url}/admin/api/register",
            data={"key": "K", "hostname": name},
            headers={"X-Forwarded-For": address},
            timeout=10,
        )
        ids[name] = answer.json()["server_id"]
    yield ids
    for name in ids:
        requests.post(
            f"{served.url}/admin/api/delete_server",
            params={"hostname": name},
            auth=("admin", "admin-password"),
            timeout=10,
        ).raise_for_status()


def names(served: Served) -> list[str]:
    return [row["hostname"] for row in served.cli.json("server")]


def ran(command: str, **environ: str) -> Any:
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_curl_removes_a_server_by_its_address(served: Served, fleet: dict[str, str]) -> None:
    command = CURL.replace("http://your-eportal-domain", served.url)
    assert ran(command) == {"result": 1}
    assert names(served) == ["web2"]
    assert ran(command) == {"result": 0}


def test_the_shell_task_removes_a_server(served: Served, fleet: dict[str, str]) -> None:
    variables = {
        "EPORTAL_API_USERNAME": "api-user",
        "EPORTAL_API_PASSWORD": "dummy",
        "EPORTAL_URL": served.url,
        "IP_TO_UNREGISTER": "10.51.16.72",
    }
    assert ran(TASK, **variables) == {"result": 1}
    assert names(served) == ["web2"]


def test_curl_asks_for_servers_feeds_keys_and_users(served: Served, fleet: dict[str, str]) -> None:
    ask = f"curl -sSf --user admin:admin-password {shlex.quote(served.url)}/admin/api"
    answer = ran(f"{ask}/servers?hostname=web%25\\&limit=10\\&offset=0")
    assert (answer["count"], [row["hostname"] for row in answer["result"]]) == (2, ["web1", "web2"])
    assert ran(f"{ask}/feeds/")["result"][0]["name"] == "main"
    assert ran(f"{ask}/keys/ -F key=new -F server_limit=5")["result"]["server_limit"] == 5
    assert [user["username"] for user in ran(f"{ask}/users/")["result"]] == ["api-user", "admin"]


def play(folder: Path, text: str) -> str:
    """What ``ansible-playbook`` says of a playbook for this machine, which must succeed."""
    (folder / "play.yml").write_text(text)
    (folder / "hosts").write_text(
        f"[kernelcare]\n"
        f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n"
    )
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts", "play.yml"],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "HOME": str(folder),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_documented_playbook_removes_a_server(
    served: Served, fleet: dict[str, str], tmp_path: Path
) -> None:
    assert "ok=1" in play(tmp_path, PLAYBOOK.replace("URL", served.url))
    assert names(served) == ["web2"]


@pytest.mark.parametrize("form", ["json", "form-urlencoded", "form-multipart"])
def test_a_playbook_tags_a_server(
    served: Served, fleet: dict[str, str], tmp_path: Path, form: str
) -> None:
    text = TAGS.replace("URL", served.url).replace("BODY", form)
    assert "ok=2" in play(tmp_path, text.replace("SERVER", fleet["web1"]))
    assert [row["tags"] for row in served.cli.json("server")] == ["env:prod;ubuntu", None]
