"""How the watch of each kind goes, as readiness probes and metrics tell it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.cluster.history_write import Outcome
    from netpol.cluster.kinds import Kind

State = Literal["starting", "listing", "catching up", "watching", "retrying", "forbidden", "not served"]

_FOLLOWED: Final = frozenset({"catching up", "watching"})
_ABSENT: Final = frozenset({"forbidden", "not served"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KindStatus:
    """How the watch of one kind goes.

    Attributes:
        resource: pods, for one.
        state: What it does now.
        synced: It was followed since this process started, or cannot be and is not needed: what is known is whole.
        events: Changes that it was told since the start, those that change nothing known included.
        changes: Those that did change what is known, lists included.
        last_event: When the last change came: nanoseconds since the epoch, None before the first.
        relists: How often everything had to be listed anew.
        errors: How often something failed.
        error: What failed last, empty where nothing did.
        refused: Objects left out because they break their own API.
        refusal: Why the last of them was.
    """

    resource: str
    state: State
    synced: bool
    events: int
    changes: int
    last_event: int | None
    relists: int
    errors: int
    error: str
    refused: int
    refusal: str


@dataclass(slots=True)
class KindProgress:
    """The same, while it goes on: written by the kind's own thread, read by others."""

    kind: Kind
    tell: Callable[[KindStatus], None]
    state: State = "starting"
    synced: bool = False
    events: int = 0
    changes: int = 0
    last_event: int | None = None
    relists: int = 0
    errors: int = 0
    error: str = ""
    refused: int = 0
    refusal: str = ""
    _clock: Callable[[], int] = field(default=time.time_ns)

    def enter(self, state: State) -> None:
        """Takes note of a state, and tells whoever wants to know where it is another than before."""
        if state == self.state:
            return
        if state in _FOLLOWED or (state in _ABSENT and not self.kind.needed):
            self.synced = True  # before the state: who sees the state from another thread must not find it untrue
        self.state = state
        self.tell(self.status())

    def took(self, events: int, outcome: Outcome) -> None:
        """Takes note of what became of events."""
        self.events += events
        self.changes += outcome.changed
        if events:
            self.last_event = self._clock()
        if outcome.refused:
            self.refused += len(outcome.refused)
            self.refusal = outcome.refused[-1]

    def status(self) -> KindStatus:
        """How it is now."""
        return KindStatus(
            resource=self.kind.resource,
            state=self.state,
            synced=self.synced,
            events=self.events,
            changes=self.changes,
            last_event=self.last_event,
            relists=self.relists,
            errors=self.errors,
            error=self.error,
            refused=self.refused,
            refusal=self.refusal,
        )
