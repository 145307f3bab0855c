"""The portal of the README: a small fleet, made with the same commands and requests as a real one.

Every command that is run is printed, so that reading the output is a first lesson.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
from fleet import FLEET, KERNELS, LIBRARIES, facts_query, write_libraries, write_patches

PROGRAM = Path(sys.executable).with_name("kc.eportal")
START_SECONDS = 30

FEEDS = (["feed", "-a", "test", "--auto"], ["feed", "-a", "12h", "--deploy-after", "12"])
KEYS = (
    ["key", "-a", "web", "--note", "web servers", "--server-limit", "100"],
    ["key", "-a", "db", "--note", "database servers"],
    ["key", "-a", "lab", "--note", "gets patches first", "--feed", "test"],
)


def main() -> int:
    data_dir = Path(sys.argv[1]).resolve()
    port = os.environ.get("EPORTAL_PORT", "8142")
    os.environ["EPORTAL_DATA_DIR"] = str(data_dir)
    fresh = not (data_dir / "eportal.sqlite").exists()
    if fresh:
        try:
            fill()
        except BaseException:
            # Half a demo would be taken for a whole one next time.
            shutil.rmtree(data_dir, ignore_errors=True)
            raise
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([PROGRAM, "serve"]) as portal:
        try:
            wait_until_ready(portal, url)
            server = check_in_all(url) if fresh else "SERVER_ID"
            print(NEXT.format(url=url, data_dir=data_dir, server=server, kernel=KERNELS[0].id))
            return portal.wait()
        except KeyboardInterrupt:
            return portal.wait()
        finally:
            portal.terminate()


def command(*arguments: object) -> None:
    words = [str(argument) for argument in arguments]
    print(f"$ kc.eportal {shlex.join(words)}", flush=True)
    subprocess.run([PROGRAM, *words], check=True)


def fill() -> None:
    """Feeds, keys and seven patchsets; the newest two of kernels only in ``test``."""
    for feed in FEEDS:
        command(*feed)
    for key in KEYS:
        command(*key)
    with tempfile.TemporaryDirectory() as folder:
        names = write_patches(Path(folder))
        archives = [Path(folder) / f"{name}.tar.bz2" for name in names]
        for name, archive in zip(names, archives, strict=True):
            command("kcare", "pack", Path(folder) / name, "-o", archive)
        libraries = Path(folder) / LIBRARIES
        write_libraries(libraries)
        command("libcare", "pack", libraries, "-o", f"{libraries}.tar.bz2")
        command("libcare", "deploy", f"{libraries}.tar.bz2")
        command("kcare", "deploy", *archives[:-2])
        command("kcare", "deploy", "--feed", "test", *archives[-2:])
    command("kcare", "enable-up-to", names[-1], "--feed", "test")


def wait_until_ready(portal: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and portal.poll() is None:
        try:
            if httpx2.get(f"{url}/readyz").is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    sys.exit("The portal did not start.")


def check_in_all(url: str) -> str:
    """Register the fleet and let each server check in twice; returns one server's id."""
    print(f"Registering {len(FLEET)} servers", flush=True)
    with httpx2.Client(base_url=url) as client:
        for machine in FLEET:
            answer = client.post(
                "/admin/api/register", data={"key": machine.key, "hostname": machine.hostname}
            )
            server: str = answer.raise_for_status().json()["server_id"]
            latest = f"/{machine.kernel.id}/latest.v1"
            offered = client.get(latest, auth=(server, ""))
            level = max(int(offered.text) - machine.behind, 0)
            client.get(latest, params=facts_query(machine, level), auth=(server, ""))
    return server


NEXT = """
The portal is running at {url}/admin/ with its data in {data_dir}.
Leave it running, open another terminal here, and try:

  export EPORTAL_DATA_DIR={data_dir} PATH=$PWD/.venv/bin:$PATH
  kc.eportal server                     # who runs what
  kc.eportal kcare list                 # patchsets and their state in each feed
  kc.eportal kcare enable-up-to K20260915_01     # roll the newest out to everybody
  curl -u {server}:x {url}/{kernel}/latest.v1    # what an agent asks
  kc.eportal kcare unroll K20260915_01           # and take it back
  curl {url}/libcare-patches.json       # libraries that have patches
  kc.eportal kcare verify && kc.eportal doctor

Ctrl-C stops it; remove {data_dir} to start anew.
"""

if __name__ == "__main__":
    sys.exit(main())
