"""What python-tuf asks for, brought from a place of ours; it remembers what came for each role."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface

from eportal_core.errors import UpstreamError, WrongBytes
from eportal_core.source.places import Place

#: No metadata file is longer, whatever a signed one says of another, bytes.
MAX_BYTES = 50_000_000
#: Answers that mean "there is no such file" to a client of TUF.
_NOT_THERE = (403, 404)


class MetadataFetcher(FetcherInterface):
    """Brings metadata files; an address is the path of one in the place.

    came: role -> the bytes that came for it last, newest role last.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.came: dict[str, bytes] = {}

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """A metadata file.

        Raises:
            DownloadHTTPError: it is not there.
            DownloadLengthMismatchError: it is longer than it may be.
            UpstreamError: it cannot be had.
        """
        try:
            data = self._place.read(url, min(max_length, MAX_BYTES))
        except WrongBytes as error:
            raise DownloadLengthMismatchError(str(error)) from error
        except UpstreamError as error:
            if error.answered in _NOT_THERE:
                raise DownloadHTTPError(str(error), error.answered) from error
            raise
        role = _role(url)
        self.came.pop(role, None)
        self.came[role] = data
        return data

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self.download_bytes(url, MAX_BYTES)


def _role(url: str) -> str:
    """``metadata/3.targets.json`` is ``targets``."""
    name = unquote(url.rpartition("/")[2]).removesuffix(".json")
    number, dot, rest = name.partition(".")
    return rest if dot and number.isdigit() else name
