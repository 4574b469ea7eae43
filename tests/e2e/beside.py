"""Makes the stand-ins of the integration tests importable here. Imported before them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))
