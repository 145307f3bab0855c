"""What servers ask for: the mirrored files, the key they are signed with, and the script."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from eportal_core import InvalidValue, NotFound, Portal, admit, public_address, serve_file
from eportal_esu_repo import PRODUCT, TREE
from eportal_esu_repo.repository import REPOMD, Generation, Repository, mirror
from eportal_esu_repo.script import install_script, refusal
from eportal_esu_repo.settings import SAFE_PATH

_MAX_READERS = 10_000


def routes(portal: Portal) -> Sequence[BaseRoute]:
    """``/esu/…`` for servers that have the product, ``/esu-gpg-key`` and ``/install-tuxcare``.

    Raises:
        InvalidValue: the settings cannot be used.
    """
    repositories = mirror(portal)
    top = (portal.config.patches_dir / TREE).resolve()
    readers = _Readers()

    def file(request: Request) -> Response:
        admit(request, PRODUCT.name)
        reader = hash(request.headers["authorization"])
        path = _find(repositories, request.path_params["path"], readers, reader)
        # A link that somebody made may lead anywhere.
        inside = path is not None and path.resolve().is_relative_to(top)
        return serve_file(request, path if inside else None)

    def key(request: Request) -> Response:
        configured = portal.config["ESU_GPG_KEY"]
        return serve_file(request, configured and Path(configured), "text/plain")

    def script(request: Request) -> Response:
        mirrored = [each.name for each in repositories if each.current()]
        status = 200
        try:
            if not mirrored:
                raise NotFound("This portal mirrors no ESU repositories.")
            text = install_script(public_address(request, portal), mirrored)
        except (InvalidValue, NotFound) as error:
            text, status = refusal(str(error)), error.status
        # What it says depends on who asks, and by which name.
        return PlainTextResponse(text, status, {"Cache-Control": "no-store"})

    return [
        Route("/esu/{path:path}", file),
        Route("/esu-gpg-key", key),
        Route("/install-tuxcare", script),
    ]


class _Readers:
    """Which generation each reader began to read.

    A client asks for ``repomd.xml`` and then for its signature; a switch between the two must not
    give it files that do not belong together.
    """

    def __init__(self) -> None:
        self._generations: OrderedDict[tuple[int, str], Generation] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, reader: int, repository: Repository, generation: Generation) -> None:
        with self._lock:
            self._generations[reader, repository.name] = generation
            self._generations.move_to_end((reader, repository.name))
            if len(self._generations) > _MAX_READERS:
                self._generations.popitem(last=False)

    def generation(self, reader: int, repository: Repository) -> Generation | None:
        with self._lock:
            return self._generations.get((reader, repository.name))


def _find(
    repositories: Sequence[Repository], path: str, readers: _Readers, reader: int
) -> Path | None:
    """The file that ``path``, below ``/esu/``, stands for; it may not be there."""
    found = [each for each in repositories if path.startswith(f"{each.name}/")]
    if not found or len(path) > 2000 or not SAFE_PATH.fullmatch(path):
        return None
    repository, rest = found[0], path.removeprefix(f"{found[0].name}/")
    folder, _, name = rest.rpartition("/")
    current = repository.current()
    if folder != "repodata" or current is None:
        return None if rest.startswith("repodata/") else repository.folder / rest
    if name == REPOMD:
        readers.begin(reader, repository, current)
        return current.folder / name
    # What only the generation before names is still there for those who read its repomd.xml.
    begun = readers.generation(reader, repository) or current
    chosen = [begun, current, *(each for each in repository.generations() if each.is_complete)]
    return next((each.folder / name for each in chosen if (each.folder / name).exists()), None)
