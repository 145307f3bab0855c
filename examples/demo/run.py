"""The portal of the README: a fleet with a past, and a year of patchsets.

Feeds, keys and patchsets are made by the commands that a real portal is made with, and each of
them is printed, so that reading the output is a first lesson. The past is written into the
database; a few servers register and check in as agents do.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import fleet
import httpx2
import patches
import people
from patches import Made

from eportal_core import db
from eportal_core.cli import main as kc_eportal
from eportal_core.config import load as load_config
from eportal_core.models import Facts, FeedPatchset, Patchset, now
from eportal_core.patchsets.pack import pack
from eportal_core.plugins import load as load_plugins
from eportal_core.portal import Portal, open_portal

PROGRAM = Path(sys.executable).with_name("kc.eportal")
START_SECONDS = 120

FEEDS = (
    ("feed", "-a", "test", "--auto", "--channel", "test"),
    ("feed", "-a", "delayed", "--auto", "--deploy-after", "24"),
    ("feed", "-a", "pilot"),
)
_KERNEL = ("--product", "kernel")
_LIBRARIES = (*_KERNEL, "--product", "libcare")
_WEB = ("--note", "web servers", "--server-limit", "120", *_LIBRARIES)
_DB = ("--note", "database servers", "--server-limit", "40", *_LIBRARIES, "--product", "db")
_VIRT = ("--note", "virtualization hosts", "--server-limit", "20", *_KERNEL, "--product", "qemu")
_EDGE = ("--note", "far away: a day later", "--feed", "delayed", *_KERNEL)
_PILOT = ("--note", "the first of production", "--feed", "pilot", *_LIBRARIES)
_LAB = ("--note", "gets patches first", "--feed", "test")
KEYS = (
    ("key", "-a", "web", *_WEB),
    ("key", "-a", "db", *_DB),
    ("key", "-a", "virt", *_VIRT),
    ("key", "-a", "edge", *_EDGE),
    ("key", "-a", "pilot", *_PILOT),
    ("key", "-a", "lab", *_LAB),
)


def main() -> int:
    # However it is ended, the portal ends with it; shells have what runs behind ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    data_dir = Path(sys.argv[1]).resolve()
    port = os.environ.get("EPORTAL_PORT", "8142")
    os.environ["EPORTAL_DATA_DIR"] = str(data_dir)
    # The users' passwords are printed, and nothing is encrypted: it is for this machine alone.
    os.environ.setdefault("EPORTAL_HOST", "127.0.0.1")
    fresh = not (data_dir / "eportal.sqlite").exists()
    if fresh:
        try:
            fill()
        except BaseException:
            # Half a demo would be taken for a whole one next time.
            shutil.rmtree(data_dir, ignore_errors=True)
            raise
    else:
        with opened():
            fleet.wake()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([PROGRAM, "serve"]) as portal:
        try:
            wait_until_ready(portal, url)
            if fresh:
                check_in_newcomers(url)
            print(what_to_try(data_dir, url), flush=True)
            return portal.wait()
        except KeyboardInterrupt:
            # The portal has had it, too.
            return portal.wait()
        finally:
            portal.terminate()


def fill() -> None:
    """Everything but the servers that register at the running portal."""
    today = patches.today()
    kernel, others = patches.kernel_patchsets(today), patches.userspace_patchsets(today)
    for words in (*FEEDS, *KEYS):
        command(*words)
    machines = fleet.machines()
    with opened() as portal:
        people.add(portal)
        print(f"Writing the past of {len(machines)} servers", flush=True)
        fleet.write_past(portal, machines, kernel)
    with tempfile.TemporaryDirectory() as folder:
        deploy(kernel, Path(folder))
        for product in patches.USERSPACE:
            deploy([made for made in others if made.command == product], Path(folder))
    enable(kernel, others)
    with opened(), db.database.atomic():
        for made in (*kernel, *others):
            date_back(made)


def deploy(made: list[Made], folder: Path) -> None:
    """Pack patchsets of one product, and deploy them all at once, to the feed ``test``."""
    (product,) = {each.command for each in made}
    spec = next(
        plugin.spec
        for plugin in load_plugins().manager.get_plugins()
        if hasattr(plugin, "spec") and plugin.spec.product.command == product
    )
    archives = []
    for each in made:
        content = folder / each.name
        patches.write(each, content)
        archives.append(folder / f"{each.name}.tar.bz2")
        released = each.released.strftime("%Y-%m-%d")
        pack(content, archives[-1], spec, released=released, changelog=each.changelog)
    command(product, "deploy", "--feed", "test", *archives)


def enable(kernel: list[Made], others: list[Made]) -> None:
    """What is beyond the feed ``test``: ``main`` has neither of the newest two."""
    command("kcare", "disable", kernel[15].name)
    command("kcare", "enable-up-to", kernel[-3].name)
    command("kcare", "enable-up-to", kernel[-2].name, "--feed", "delayed")
    command("kcare", "disable", kernel[19].name, "--feed", "pilot")
    command("kcare", "enable-up-to", kernel[-2].name, "--feed", "pilot")
    for product, released in patches.USERSPACE.items():
        names = [made.name for made in others if made.command == product]
        older = names[-2 if len(released) > 2 else -1]
        command(product, "enable-up-to", older)
        command(product, "enable-up-to", older, "--feed", "pilot")


def command(*words: object) -> None:
    """Run ``kc.eportal`` to its end, in a process that has loaded it already.

    What it tells is shown when it fails: a line for each patchset would hide the commands.
    """
    arguments = [str(word) for word in words]
    print(f"$ kc.eportal {shown(arguments)}", flush=True)
    with tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if child == 0:
            run(arguments, told.fileno())
        _, status = os.waitpid(child, 0)
        if status:
            told.seek(0)
            sys.exit(told.read())


def run(arguments: list[str], output: int) -> NoReturn:
    """Run a command in this process, and end with its exit code."""
    code = 1
    try:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output, stream.fileno())
        code = kc_eportal(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def shown(arguments: list[str]) -> str:
    """As one would type it; of many archives, the first and the last."""
    archives = [word for word in arguments if word.endswith(".tar.bz2")]
    kept = [Path(word).name if word in archives else word for word in arguments]
    if len(archives) > 2:
        first = len(kept) - len(archives)
        return f"{shlex.join(kept[: first + 1])} ... {shlex.quote(kept[-1])}"
    return shlex.join(kept)


@contextmanager
def opened() -> Iterator[Portal]:
    """The portal in this process, with a database connection."""
    plugins = load_plugins()
    portal = open_portal(load_config(plugins.settings(), os.environ), plugins)
    try:
        with db.connection():
            yield portal
    finally:
        # What is open here may not be open in the processes that are forked.
        db.close()


def date_back(made: Made) -> None:
    """The patchset came on the day of its release, and to other feeds some days later."""
    product = {"kcare": "kernel"}.get(made.command, made.command)
    key = Patchset.key(product, made.name)
    came = min(made.released + timedelta(hours=5), now() - timedelta(hours=3))
    Patchset.update(appeared=came).where(Patchset.id == key).execute()
    for feed, days in {"test": 0, "delayed": 1, "pilot": 12, "main": 14}.items():
        since = min(came + timedelta(days=days), now() - timedelta(hours=1))
        row = FeedPatchset.update(since=since)
        row.where(FeedPatchset.patchset == key, FeedPatchset.feed == feed).execute()


def wait_until_ready(portal: subprocess.Popen[bytes], url: str) -> None:
    """Both halves of the portal answer."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and portal.poll() is None:
        try:
            if all(httpx2.get(f"{url}{path}").is_success for path in ("/readyz", "/admin/login")):
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    sys.exit("The portal did not start.")


def check_in_newcomers(url: str) -> None:
    """What an agent does: register, ask for the level, load it, and tell."""
    print(f"Registering {len(fleet.NEWCOMERS)} more servers over HTTP", flush=True)
    group = next(each for each in fleet.GROUPS if each.key == "lab")
    with httpx2.Client(base_url=url) as client:
        for number, hostname in enumerate(fleet.NEWCOMERS):
            kernel = group.kernels[number]
            machine = fleet.Machine(hostname, "", group, kernel, 3600, now(), now())
            answer = client.post(
                "/admin/api/register", data={"key": group.key, "hostname": hostname}
            )
            server: str = answer.raise_for_status().json()["server_id"]
            latest = f"/{kernel.id}/latest.v1"
            offered = client.get(latest, auth=(server, "")).raise_for_status()
            told = fleet.facts_query(machine, int(offered.text))
            client.get(latest, params=told, auth=(server, "")).raise_for_status()


def what_to_try(data_dir: Path, url: str) -> str:
    with opened():
        newest = Patchset.select().where(Patchset.product == "kernel")
        before = newest.order_by(Patchset.position.desc()).offset(1).first()
        of_main = (Facts.key == "web") & (Facts.kernel_id == patches.ALMA9.id)
        facts = Facts.select().where(of_main).order_by(Facts.hostname).first()
        return NEXT.format(
            url=url,
            data_dir=data_dir,
            before=before.name,
            server=facts.server_id if facts else "SERVER_ID",
            kernel=facts.kernel_id if facts else "KERNEL_ID",
            **people.passwords(data_dir),
        )


NEXT = """
The portal is running. Open it, and log in as one of two users:

  {url}/admin/login

  admin    {admin}    may change everything
  viewer   {viewer}    may only see it

Its data is in {data_dir}. Leave it running, open another terminal here, and try:

  export EPORTAL_DATA_DIR={data_dir} PATH=$PWD/.venv/bin:$PATH
  kc.eportal server                     # who runs what
  kc.eportal kcare list                 # patchsets and their state in each feed
  kc.eportal kcare enable-up-to {before}     # roll out to everybody what pilot runs
  curl -u {server}:x {url}/{kernel}/latest.v1    # what an agent asks
  kc.eportal kcare unroll {before}           # and take it out of every feed
  curl {url}/libcare-patches.json       # libraries that have patches
  kc.eportal kcare verify
  kc.eportal doctor                     # finds two clones: they share a server id

The invented servers never ask again: they stay behind what is rolled out to them.
Ctrl-C stops it; remove {data_dir} to start anew.
"""

if __name__ == "__main__":
    sys.exit(main())
