"""Which windows the hub takes: those of the node that sends them, of now, and of a span that a window has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.agent.hub.refusals import FORBIDDEN, WRONG, RefusedError

if TYPE_CHECKING:
    from netpol.agent.hub.limits import Limits
    from netpol.agent.hub.state import State
    from netpol.dataset.window import Window

IDENTITY: Final = re.compile(r"([0-9a-f]{32})-([0-9]{8,10})")
"""`Window.identity` as it stands in paths and names of files."""
_MOST_NUMBERS: Final = 1 << 31
SECOND: Final = 1_000_000_000
"""In nanoseconds."""
_SLACK_SECONDS: Final = 300
"""Records may lie so far outside their window: a clock was put right while it was recorded."""


def split_identity(text: str) -> tuple[str, int] | None:
    """Run and number of an identity, None where it is none."""
    found = IDENTITY.fullmatch(text)
    if found is None or int(found[2]) >= _MOST_NUMBERS or f"{int(found[2]):08d}" != found[2]:
        return None
    return found[1], int(found[2])


@dataclass(frozen=True, slots=True)
class Admission:
    """Tells windows that belong here from those that do not.

    Attributes:
        state: What was taken before.
        limits: How long a window may be, and how far ahead.
        keep: Nanoseconds after which windows are no longer kept; None for ever.
    """

    state: State
    limits: Limits
    keep: int | None = None

    def require(self, window: Window, identity: str, *, node: str | None, now: int) -> None:
        """Refuses windows that do not belong here.

        Args:
            window: What was sent.
            identity: What it was sent as.
            node: The node that the sender is proven to be on, where that is proven.
            now: Nanoseconds since the Unix epoch.

        Raises:
            RefusedError: FORBIDDEN where it is another node's, WRONG where it will never be taken.
        """
        if node is not None and window.observer != node:
            raise RefusedError(
                FORBIDDEN, f"the window of node {window.observer}, sent with the token of node {node}", "other node"
            )
        if window.identity != identity:
            raise RefusedError(WRONG, f"the window is {window.identity}", "other identity")
        self._require_time(window, now)
        if (whose := self.state.observer_of(window.run)) is not None and whose != window.observer:
            raise RefusedError(WRONG, f"the run is of node {whose}", "other run")
        if not self.state.is_known_node(window.observer) and self.state.node_count() >= self.limits.nodes:
            raise RefusedError(WRONG, f"node {window.observer} is one too many", "too many nodes")

    def _require_time(self, window: Window, now: int) -> None:
        limits = self.limits
        if window.end - window.begin > limits.window_seconds * SECOND:
            raise RefusedError(WRONG, f"a window of more than {limits.window_seconds} s", "too long")
        if window.end > now + limits.ahead_seconds * SECOND:
            raise RefusedError(
                WRONG, "the window lies in the future: check the clocks of the node and of the hub", "in the future"
            )
        if self.keep is not None and window.end < now - self.keep:
            raise RefusedError(WRONG, "the window is older than what is kept", "too old")
        if len(window.records):
            slack = _SLACK_SECONDS * SECOND
            first, last = int(window.records["first"].min()), int(window.records["last"].max())
            if first < window.begin - slack or last >= window.end + slack:
                raise RefusedError(WRONG, "it holds records of another time", "records of another time")
