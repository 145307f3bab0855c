"""The peer: Starlette's StaticFiles on uvicorn, as the portal runs it. Arguments: port, folder."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from eportal_core.web.protocol import BoundedProtocol

if __name__ == "__main__":
    port, folder = sys.argv[1:]
    app = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    config = uvicorn.Config(
        app, port=int(port), loop="uvloop", http=BoundedProtocol, ws="none", log_level="warning"
    )
    uvicorn.Server(config).run()
