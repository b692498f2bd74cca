"""Packets as objects, batches as columns, and the way between them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `reference` and `columns` are shared by the tests of this folder
