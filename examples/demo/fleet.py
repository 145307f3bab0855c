"""The invented machines of the demo, and what the database knows of their past."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import patches
from patches import DAYS, Kernel, Made

from eportal_core import db
from eportal_core.models import Actor, Checkin, Facts, Identity, Server, acting, now
from eportal_core.operations import servers
from eportal_core.portal import Portal

HOURS = timedelta(hours=1)
#: Most levels of which a server remembers that it ran them.
_REMEMBERED = 8
#: How many levels servers lag, most of them none.
_LAGS = (*(0,) * 15, 1, 1, 1, 2, 4)
_CLONES = ("app-image-a.example.com", "app-image-b.example.com")


@dataclass(frozen=True)
class Group:
    """Machines of one key; ``feed`` is that of the key. tags: of each of them."""

    key: str
    feed: str
    prefix: str
    count: int
    kernels: tuple[Kernel, ...]
    tags: str
    virt: str = "kvm"


@dataclass(frozen=True)
class Machine:
    """A server; ``uptime`` in seconds, ``heard`` None for one that never asked."""

    hostname: str
    ip: str
    group: Group
    kernel: Kernel
    uptime: int
    registered: datetime
    heard: datetime | None
    lag: int = 0


_WEB = (patches.ALMA9, patches.UBUNTU22, patches.DEBIAN12)
_DB = (patches.ALMA8, patches.ORACLE8, patches.ROCKY9)
_EDGE = (patches.AMAZON, patches.DEBIAN12_ARM, patches.UBUNTU24)
GROUPS = (
    Group("web", "main", "web", 72, _WEB, "env:prod;role:web"),
    Group("db", "main", "db", 34, _DB, "env:prod;role:db"),
    Group("virt", "main", "kvm", 18, (patches.DEBIAN12, patches.UBUNTU24), "env:prod", "none"),
    Group("web", "main", "legacy", 10, (patches.CENTOS7,), "env:prod;retire", "vmware"),
    Group("edge", "delayed", "edge", 36, _EDGE, "env:prod;site:edge", "aws"),
    Group("pilot", "pilot", "pilot", 12, _WEB, "env:prod;canary"),
    Group("lab", "test", "lab", 14, patches.KERNELS, "env:lab"),
    Group("lab", "test", "hpc", 6, (patches.CUSTOM,), "env:lab;own-kernel", "none"),
)
#: These register and check in at the portal itself, as agents do.
NEWCOMERS = ("new-01.example.com", "new-02.example.com", "new-03.example.com")


def machines() -> list[Machine]:
    """The same ones each time, but for the time of day."""
    chance = random.Random("ePortal")
    moment = now()
    found = []
    for place, group in enumerate(GROUPS):
        for number in range(1, group.count + 1):
            uptime = int(chance.lognormvariate(5.1, 0.9) * 86_400) % (1000 * 86_400)
            heard = moment - chance.uniform(0.05, 4.2) * HOURS
            # One in twenty has not been heard of for days or weeks.
            if chance.random() < 0.05:
                heard = moment - chance.uniform(3, 40) * DAYS
            found.append(
                Machine(
                    f"{group.prefix}-{number:02}.example.com",
                    f"10.{20 + place}.{number // 10}.{10 + number}",
                    group,
                    group.kernels[number % len(group.kernels)],
                    uptime,
                    moment - chance.uniform(41, 420) * DAYS,
                    heard,
                    chance.choice(_LAGS),
                )
            )
    # Registered lately; the last one was never heard of.
    for index, ago in ((3, 1), (9, 3), (60, 5)):
        found[index] = replace(found[index], registered=moment - ago * DAYS, uptime=ago * 86_400)
    found[60] = replace(found[60], heard=None)
    return found


def write_past(portal: Portal, fleet: Sequence[Machine], released: Sequence[Made]) -> None:
    """Register the machines, and write what they would have told since.

    released: the kernel patchsets that the feeds have, but for the newest, which came today.
    """
    chance = random.Random("past")
    with db.database.atomic():
        for machine in fleet:
            with acting(Actor("agent", machine.ip, "registration")):
                server = servers.register(portal, machine.group.key, machine.hostname, machine.ip)
                servers.store_tags(server.id, machine.group.tags)
            moment = machine.registered
            Server.update(registered=moment).where(Server.id == server.id).execute()
            if machine.heard is not None:
                _write_facts(server.id, machine, released, chance)
        _write_clones(next(each for each in fleet if each.heard and each.heard > now() - 1 * DAYS))
        gone = servers.register(portal, "web", "retired-07.example.com", "10.20.9.7")
        gone.drop()


def wake() -> None:
    """Move all check-ins so that the last one was now: after a week, all would be silent."""
    last = Checkin.select(Checkin.time).order_by(Checkin.time.desc()).first().time
    microseconds = int((now() - last).total_seconds() * 1_000_000)
    Checkin.update(time=Checkin.time + microseconds).where(Checkin.time.is_null(False)).execute()


def facts(machine: Machine, level: int) -> dict[str, str | int]:
    """What the machine's agent says of it, but for its names."""
    kernel = machine.kernel
    return {
        "patch_level": level,
        "patch_type": "default",
        "release": kernel.release,
        "euname": kernel.effective(level),
        "version": "#1 SMP",
        "machine": kernel.machine,
        "processor": kernel.machine,
        "virt": machine.group.virt,
        "kcare_version": "example",
        "distro": kernel.distro,
        "distro_version": kernel.version,
    }


def facts_query(machine: Machine, level: int) -> dict[str, str]:
    """The argument by which an agent tells it."""
    told = {
        "hostname": machine.hostname,
        "uptime": machine.uptime,
        "tags": machine.group.tags,
        **facts(machine, level),
    }
    return {"info": base64.urlsafe_b64encode(json.dumps(told).encode()).decode()}


def _write_facts(
    server: str, machine: Machine, released: Sequence[Made], chance: random.Random
) -> None:
    kernel = machine.kernel.id
    known = [made for made in released[: _newest(machine.group.feed)] if kernel in made.levels]
    ran = known[: len(known) - machine.lag][-_REMEMBERED:]
    Facts.update(kernel_id=kernel, **facts(machine, 0)).where(Facts.server == server).execute()
    for made in ran:
        moment = min(made.released + chance.uniform(0.5, 4) * DAYS, machine.heard or now())
        if moment <= machine.registered and made is not ran[-1]:
            continue
        told = facts(machine, made.levels[kernel])
        row = Facts.update(updated=max(moment, machine.registered), **told)
        row.where(Facts.server == server).execute()
    row = Checkin.update(time=machine.heard, uptime=machine.uptime)
    row.where(Checkin.server == server).execute()


def _newest(feed: str) -> int:
    """How many of the kernel patchsets a server of the feed has had time to load."""
    late = {"test": 0, "pilot": 1, "delayed": 1, "main": 2}
    return patches.KERNEL_PATCHSETS - late[feed]


def _write_clones(machine: Machine) -> None:
    """Two machines of one image, which take turns under one server id."""
    server = Server.get(hostname=machine.hostname).id
    Facts.update(hostname=_CLONES[1]).where(Facts.server == server).execute()
    for hours, hostname in enumerate(reversed(_CLONES), start=1):
        Identity.create(
            server=server,
            hostname=hostname,
            kernel_id=machine.kernel.id,
            first_seen=now() - 12 * DAYS,
            last_seen=now() - hours * HOURS,
            returns=6,
        )
