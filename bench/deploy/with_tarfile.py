"""The obvious way: ``with_tarfile.py ARCHIVE FOLDER``."""

import sys
import tarfile

with tarfile.open(sys.argv[1], "r:bz2") as archive:
    archive.extractall(sys.argv[2], filter="data")
