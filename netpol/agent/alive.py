"""How an agent shows that it runs: it listens nowhere, because in the host's network that would be the node's port."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

ALIVE: Final = ".alive"
"""The file in the spool folder that is touched every second; behind a dot, so that nobody takes it for a capture."""


def sign_of_life(spool: Path) -> None:
    """Touches the file. A disk that is full or broken is no reason to die."""
    with contextlib.suppress(OSError):
        (spool / ALIVE).touch()
