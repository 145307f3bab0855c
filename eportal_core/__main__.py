"""``python -m eportal_core`` is ``kc.eportal``."""

import sys

from eportal_core.cli import main

sys.exit(main())
