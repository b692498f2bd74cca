"""Who scans: Threshold Random Walk over a source's first contacts.

Jung, Paxson, Berger & Balakrishnan, "Fast Portscan Detection Using Sequential Hypothesis Testing", IEEE S&P 2004. A
benign source reaches a new target with probability `THETA_BENIGN`, a scanner with `THETA_SCANNER`; the walk is the
log likelihood ratio of the two over first contacts in the order of their time. It ends at a scanner's verdict; at a
benign verdict it starts over, as Page's test does, so that a long good life does not buy a source the right to scan
later.

Failure modes, known and accepted, because everything quarantined is listed for a person to decide on:

- An application whose dependencies are down, four more than are up, looks like a scanner from the first of them on:
  what it first reached after that is quarantined. What it reached before stays, so does what a healthy replica of it
  reached.
- A monitor that probes many dead targets *is* a scanner by this test; so is a peer-to-peer client.
- A scanner that knows what is open, and touches fewer than four closed targets more than open ones, is not found.
- UDP without answers (statsd, syslog) counts as failure. Two or three such targets do not make a scanner.
- Targets are what a source met first: a slow scan over weeks is found only when one capture shows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

THETA_BENIGN = 0.8
THETA_SCANNER = 0.2
FALSE_ALARM = 0.01
DETECTION = 0.99
"""The values that the paper uses in its evaluation."""

BOUND = math.ceil(math.log(DETECTION / FALSE_ALARM) / math.log(THETA_BENIGN / THETA_SCANNER))
"""Steps from the start to a verdict, either way: a failure multiplies the ratio by 4, a success divides it by 4."""

RUN_UP_GAP = 60_000_000_000
"""Nanoseconds. Contacts without payload that come no further than this before the first failure belong to the scan."""

KEPT_FAILURES = 4096
"""Failed targets kept per source, the earliest: memory is bounded, and the walk is over long before."""

Target = tuple[str, ...]


@dataclass(slots=True)
class Contacts:
    """One source's targets, each with the time of its first answered, or else its first failed contact.

    A target that ever answered is a success, whenever it did: a dependency that was restarted is no scan target.
    """

    answered: dict[Target, tuple[int, bool]] = field(default_factory=dict)
    failed: dict[Target, int] = field(default_factory=dict)

    def answer(self, target: Target, time: int, *, silent: bool) -> None:
        """The target answered at `time` (nanoseconds); `silent`: without payload both ways."""
        known = self.answered.get(target)
        self.answered[target] = (time, silent) if known is None else (min(known[0], time), known[1] and silent)

    def fail(self, target: Target, time: int) -> None:
        """The target refused or did not answer at `time`.

        The targets kept are those with the earliest first failure, whatever the order of the calls.
        """
        self.failed[target] = min(self.failed.get(target, time), time)
        if len(self.failed) > 2 * KEPT_FAILURES:
            earliest = sorted(self.failed.items(), key=lambda item: (item[1], item[0]))[:KEPT_FAILURES]
            self.failed = dict(earliest)

    def scanning_since(self) -> int | None:
        """The time from which on this source's new edges are a scanner's, None for a benign source."""
        earliest = sorted((time, target) for target, time in self.failed.items())[:KEPT_FAILURES]
        steps = [(time, True, False, target) for time, target in earliest if target not in self.answered]
        steps += [(time, False, silent, target) for target, (time, silent) in self.answered.items()]
        steps.sort()
        walk, low, low_index = 0, 0, 0
        for index, (_, failed, _, _) in enumerate(steps):
            walk += 1 if failed else -1
            if walk <= -BOUND:
                walk, low, low_index = 0, 0, index + 1
            elif walk <= low:
                low, low_index = walk, index + 1
            elif walk >= BOUND:
                return _with_run_up(steps, low_index)
        return None


def _with_run_up(steps: list[tuple[int, bool, bool, Target]], start: int) -> int:
    """Moves the change point back over silent successes: a connect scan may find its open ports first."""
    while start and steps[start - 1][2] and steps[start][0] - steps[start - 1][0] <= RUN_UP_GAP:
        start -= 1
    return steps[start][0]
