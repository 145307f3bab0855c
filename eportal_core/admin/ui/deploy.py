"""``/admin/patchsets/<command>/deploy``: deploy an archive that a browser sends.

The archive comes by a route of its own: whatever reads forms for the other pages keeps them in
memory. What comes of it is told by a task, whose page the browser is led to in any case.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from eportal_core import db
from eportal_core.admin.access import address_of, caller_of
from eportal_core.admin.api.operation import Access
from eportal_core.admin.login import LOGIN
from eportal_core.admin.tasks import Task, tasks
from eportal_core.admin.ui.addresses import url
from eportal_core.admin.ui.choices import feed_names
from eportal_core.admin.ui.patchsets import path_of, product_of
from eportal_core.admin.ui.tasks import PATH as TASKS
from eportal_core.admin.ui.visit import Form, View, Visit
from eportal_core.admin.uploads import AROUND, Upload, remove_leftovers, upload_folder
from eportal_core.errors import (
    AccessDenied,
    InvalidValue,
    PortalError,
    StorageError,
    TooLarge,
)
from eportal_core.models import MAIN, Actor, acting
from eportal_core.operations import feeds, patchsets
from eportal_core.patchsets.archive import patchset_name
from eportal_core.patchsets.streams import COMPRESSIONS
from eportal_core.portal import Portal
from eportal_core.types import Caller, Product

log = logging.getLogger("eportal.ui")

_PATH = "/patchsets/{command}/deploy"
#: Seconds after which nothing more is waited for: who stalls takes the place of others.
_STALLED = 60.0
#: So much of what is refused is read all the same, bytes: a browser tells nothing of an answer
#: that comes while it sends.
_DRAINED = 64 * 1024 * 1024


def show(visit: Visit) -> Response:
    product = _product(visit.portal, visit.text("command"))
    return visit.page(
        "deploy.html",
        title=f"Deploy a {product.title} archive",
        product=product,
        path=path_of(product),
        form=Form({"feed": MAIN}),
        feeds=feed_names(),
        suffixes=",".join(compression.suffix for compression in COMPRESSIONS),
        limit=visit.portal.config["ARCHIVE_MAX_BYTES"],
    )


def upload_routes(portal: Portal) -> list[Route]:
    """The route by which archives come."""
    remove_leftovers(portal)

    async def upload(request: Request) -> Response:
        return await _Upload(portal, request).answer()

    return [Route(f"/admin{_PATH}/upload", upload, methods=["POST"])]


class _Upload:
    """One archive that comes."""

    def __init__(self, portal: Portal, request: Request) -> None:
        self._portal = portal
        self._request = request

    async def answer(self) -> Response:
        """Raises: PortalError: whoever sends it may not, or no task can be begun."""
        try:
            caller, product, task = await run_in_threadpool(self._begin)
        except AccessDenied:
            form = self._request.url.path.removesuffix("/upload")
            return RedirectResponse(f"{LOGIN}?next={quote(form)}", 303)
        chunks = _lively(self._request.stream())
        with ExitStack() as stack:
            try:
                await self._take(chunks, caller, product, task, stack)
            except ClientDisconnect:
                task.fail("The browser broke off: send the archive again.")
            except PortalError as error:
                log.warning("%s, for %s: %s", task.title, task.owner, error)
                task.fail(str(error))
                await _drain(chunks)
            except Exception:
                task.fail("Something went wrong; the portal's log says what.")
                raise
        return RedirectResponse(url(f"{TASKS}/{task.id}"), 303)

    def _begin(self) -> tuple[Caller, Product, Task]:
        """Who sends it, asked before any of it is read.

        Raises:
            AccessDenied, Forbidden, TooOften: as pages say it.
            NotFound, Conflict: as pages say it.
        """
        caller = self._admitted()
        with db.connection():
            product = _product(self._portal, self._request.path_params["command"])
            task = tasks.open(caller, f"Deploy an archive of {product.title}", path_of(product))
        return caller, product, task

    def _admitted(self) -> Caller:
        """Raises: AccessDenied, Forbidden, TooOften: as pages say it."""
        with db.connection():
            caller = caller_of(self._portal, self._request)
            View("POST", _PATH, Access.ADMIN, show).check(caller)
        assert caller is not None, "somebody was let in"
        return caller

    async def _take(
        self,
        chunks: AsyncIterator[bytes],
        caller: Caller,
        product: Product,
        task: Task,
        stack: ExitStack,
    ) -> None:
        """Read it to the end, and let a thread deploy it then."""
        limit = self._portal.config["ARCHIVE_MAX_BYTES"]
        size = self._size()
        await run_in_threadpool(self._check_room, size, limit)
        folder = await run_in_threadpool(stack.enter_context, upload_folder(self._portal))
        spec = self._portal.stores()[product.name].spec

        def accept(name: str) -> Path:
            spec.check_name(patchset_name(Path(name)))
            return folder / name

        upload = Upload(self._request.headers.get("content-type", ""), accept, limit)
        label = "Sending it to the portal"
        archive = await upload.read(chunks, lambda came: task.show(label, came, max(size, came)))
        feed = upload.fields.get("feed") or MAIN
        # It may have taken hours.
        await run_in_threadpool(self._admitted)
        is_enabled = upload.fields.get("disabled") != "true"
        await run_in_threadpool(_check_feed, feed)
        work = _work(self._portal, product, archive, feed, is_enabled, stack.pop_all())
        actor = Actor(caller.username, address_of(self._request), caller.means)
        with acting(actor):
            tasks.run(task, work)

    def _size(self) -> int:
        """What the browser says that it sends, 0 when it does not say."""
        said = self._request.headers.get("content-length", "")
        return int(said) if said.isascii() and said.isdigit() else 0

    def _check_room(self, size: int, limit: int) -> None:
        if size > limit + AROUND:
            raise TooLarge(f"The file is larger than {limit} bytes (ARCHIVE_MAX_BYTES).")
        room = shutil.disk_usage(self._portal.storage.patches_dir).free
        # It is kept twice for a while.
        if 2 * size > room:
            raise StorageError(
                f"The disk has {room} bytes left, and twice the {size} of this archive are needed."
            )


def _work(
    portal: Portal, product: Product, archive: Path, feed: str, enable: bool, stack: ExitStack
) -> Callable[[], str]:
    """Deploys the archive, and lets go then of what ``stack`` holds."""

    def work() -> str:
        with stack:
            patchset = patchsets.deploy(portal, product, archive, feed=feed, enable=enable)
        state = "enabled" if enable else "disabled"
        return f"{patchset.name} was deployed, and is {state} in {feed}."

    return work


def _check_feed(name: str) -> None:
    with db.connection():
        feeds.get(name)


async def _lively(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``chunks`` as they come. Raises: InvalidValue: none comes any more."""
    while True:
        try:
            async with asyncio.timeout(_STALLED):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise InvalidValue(
                f"Nothing came for {_STALLED:g} seconds: send the archive again."
            ) from None
        yield chunk


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    left = _DRAINED
    try:
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                return
    except (ClientDisconnect, InvalidValue, RuntimeError):
        return


def _product(portal: Portal, command: str) -> Product:
    """The product, if it is made of archives.

    Raises:
        NotFound: there is no such product.
        InvalidValue: it is made of something else.
    """
    product = product_of(portal, command)
    if product.name not in portal.stores():
        raise InvalidValue(f"{product.title} is not made of archives.")
    return product


VIEWS = (View("GET", _PATH, Access.ADMIN, show),)
