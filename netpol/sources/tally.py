"""What became of every record of the flow logs that were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NAMED_PLACES: Final = 100
"""So many damaged records are named with their place; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A sound record that says nothing about a connection that can be used.

    Attributes:
        reason: Why.
        lost: Events that it says are missing from the log.
        unplaced: It tells of a connection; of an end of it, nobody knows the address.
        foreign: It has nothing that such a record has: it may be one of another log.
    """

    reason: str
    lost: int = 0
    unplaced: bool = False
    foreign: bool = False


@dataclass(slots=True)
class LogTally:
    """Counts; `records == used + sum(passed_over.values()) + sum(damaged.values())` holds whenever a log was read.

    Attributes:
        records: Lines or entries that should say something.
        used: Those that are in what was yielded.
        passed_over: Sound records that say nothing about a connection that can be used, by reason.
        damaged: Records that cannot be read, by reason.
        places: `file: line N: reason` of the first NAMED_PLACES damaged ones.
        lost: Events that the log itself says are missing from it.
        unplaced: Those passed over that tell of a connection, and of an end of it no address.
        untold: What logs of these kinds do not tell, by kind.
    """

    records: int = 0
    used: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    lost: int = 0
    unplaced: int = 0
    untold: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def pass_over(self, passed: Passed) -> None:
        """A record that says nothing that can be used."""
        self.records += 1
        self.lost += passed.lost
        self.unplaced += passed.unplaced
        self.passed_over[passed.reason] = self.passed_over.get(passed.reason, 0) + 1

    def use(self) -> None:
        """A record that is used."""
        self.records += 1
        self.used += 1

    def damage(self, place: str, line: int, reason: str) -> None:
        """A record that cannot be read."""
        self.records += 1
        self.damaged[reason] = self.damaged.get(reason, 0) + 1
        if len(self.places) < NAMED_PLACES:
            self.places.append(f"{place}: line {line}: {reason}")
