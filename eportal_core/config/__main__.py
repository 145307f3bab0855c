"""``python -m eportal_core.config > docs/settings.md`` writes the page of the core settings."""

from __future__ import annotations

import sys

from eportal_core.config import reference

sys.stdout.write(reference({}))
