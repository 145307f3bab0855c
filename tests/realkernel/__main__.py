"""Parts of the proof by hand: ``python -m tests.realkernel --help``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .guest import boot
from .kernel import obtain
from .livepatch import write_level


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.realkernel")
    commands = parser.add_subparsers(dest="command", required=True)
    patch = commands.add_parser("patch", help="build one level below a directory, to be packed")
    patch.add_argument("directory", type=Path)
    patch.add_argument("level", type=int)
    patch.add_argument("text", help="what /proc/cmdline shall say")
    guest = commands.add_parser("guest", help="boot a guest against a portal on this host")
    guest.add_argument("port", type=int, help="the port of the portal on 127.0.0.1")
    guest.add_argument("key")
    arguments = parser.parse_args()

    kernel = obtain()
    if arguments.command == "patch":
        print(write_level(kernel, arguments.directory, arguments.level, arguments.text))
    else:
        print(boot(kernel, arguments.port, arguments.key, hostname="by-hand").console)


if __name__ == "__main__":
    main()
