"""Ours, with hashes, manifest and durability: ``with_eportal.py ARCHIVE FOLDER``."""

import sys
from pathlib import Path

from patches import SPEC

from eportal_core.patchsets.archive import Limits, unpack

unpack(Path(sys.argv[1]), Path(sys.argv[2]), SPEC, Limits(files=10_000, bytes=10**9, ratio=100))
