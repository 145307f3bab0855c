"""HTTP as uvicorn speaks it, with a bound on what a client may say before its request begins."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Largest request line with headers, and largest trailers, bytes; the parser itself has no limit.
HEAD_MAX_BYTES = 128 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Hangs up on a head that does not end: headers are kept in memory until it does."""

    #: Bytes received since a head was complete or a piece of a body came.
    _unfinished = 0

    def data_received(self, data: bytes) -> None:
        self._unfinished += len(data)
        HttpToolsProtocol.data_received(self, data)
        if self._unfinished > HEAD_MAX_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        self._unfinished = 0
        HttpToolsProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        self._unfinished = 0
        HttpToolsProtocol.on_body(self, body)
