"""Files over HTTP: ranges, ETag, and whole to the end whatever happens to their names meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

#: What opening a name says when no file has it.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO)


def serve_file(
    request: Request, path: Path | None, media_type: str = "application/octet-stream"
) -> Response:
    """The answer to a request for ``path``; the caller has checked that it may be had.

    Raises:
        HTTPException: 404 when it is None, is not there, or is no regular file.
    """
    file = None if path is None else _open(path)
    if file is None:
        raise HTTPException(404, "There is no such file.")
    response = _OpenFileResponse(file, media_type)
    if _is_fresh(request, response.headers["etag"], response.headers["last-modified"]):
        response.close()
        return Response(status_code=304, headers={"etag": response.headers["etag"]})
    return response


def _open(path: Path) -> BinaryIO | None:
    """The regular file ``path``; None when there is none."""
    try:
        # A pipe is opened without waiting for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


class _OpenFileResponse(FileResponse):
    """Sends a file to its end, also when it is deleted before the first byte has left.

    Made in a thread, it has read the first piece already: most files need no other one.
    """

    #: A reader that does not read holds so much twice, and there may be many of them.
    chunk_size = 1 << 17

    def __init__(self, file: BinaryIO, media_type: str) -> None:
        super().__init__(
            f"/proc/self/fd/{file.fileno()}",
            stat_result=os.fstat(file.fileno()),
            media_type=media_type,
        )
        self._file = file
        self._first = file.read(self.chunk_size)
        self._size = int(self.headers["content-length"])

    def close(self) -> None:
        self._file.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "GET" and all(name != b"range" for name, _ in scope["headers"]):
                await self._send_whole(send)
            else:
                await super().__call__(scope, receive, send)
        finally:
            self.close()

    async def _send_whole(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers},
        )
        piece, sent = self._first, 0
        self._first = b""
        while piece:
            sent += len(piece)
            more = sent < self._size
            await send({"type": "http.response.body", "body": piece, "more_body": more})
            piece = await run_in_threadpool(self._file.read, self.chunk_size) if more else b""
        if sent == 0:
            await send({"type": "http.response.body"})


def _is_fresh(request: Request, etag: str, modified: str) -> bool:
    """Whether the client has this very file already.

    Source: RFC 9110, 13.1.2: If-None-Match compares weakly, an asterisk means any, and it wins over
    If-Modified-Since, which here must be the very time that the client was told.
    """
    known = request.headers.get("if-none-match")
    if known is not None:
        return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in known.split(","))
    return request.headers.get("if-modified-since") == modified
