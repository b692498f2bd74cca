"""Collects what was seen between each two ends while `admit` decides what is learned of it.

What is learned makes an entry for each port. What is left out makes one for each reason and verdict, whatever its
ports: a scan of all ports is one entry.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from netpol.graph.judge import Accepted, grounded
from netpol.graph.reasons import Reason
from netpol.model.endpoint import AmbiguousEnd, ExternalEnd, NodeEnd, PodEnd, UnknownEnd
from netpol.model.flow import PORT_PROTOCOLS, Direction
from netpol.policy.verdict import Ruling
from netpol.view.sightings import Learned, LeftOut, Seen, answer_of, rules_of
from netpol.view.time_bins import TimeBins

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.graph.observation import Observation
    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Address, Flow
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.verdict import Verdict
    from netpol.view.sightings import Key, Ref

MOST_STRANGERS = 10_000
"""Addresses outside that are told apart in what was left out; a scan from all over the Internet has more."""

OTHERS = "external others"
"""The id of the node that all further ones share."""

_SEVERITY = (Ruling.DENIED, Ruling.UNDEFINED, Ruling.ALLOWED)


class Gatherer:
    """Give its `watch` to `admit`.

    Args:
        window: First and last packet, nanoseconds since the epoch; None where there are none.
        evaluator: Is asked about what is left out; None where the policies are yet to be learned.
    """

    def __init__(self, window: tuple[int, int] | None, evaluator: Evaluator | None = None) -> None:
        self.window = window
        self.time = TimeBins.over(*window) if window else None
        self.seen: dict[Key, Seen] = {}
        self._evaluator = evaluator
        self._strangers: set[Address] = set()
        self._unplaced: defaultdict[str, set[Address]] = defaultdict(set)

    def watch(self, flow: ResolvedFlow, decision: Accepted | Reason) -> None:
        """Takes one flow with what was decided about it."""
        if isinstance(decision, Reason):
            self._left_out(flow, decision)
            return
        shared = len(decision.destinations) > 1
        for end, port in decision.destinations:
            seen = self._at((_ref(decision.source), _ref(end), Learned(flow.flow.protocol, port)))
            self._enter(seen, flow, ((decision.source,), (end,)), port, shared=shared)

    def judge(self, observations: Iterable[Observation], evaluator: Evaluator, old: Evaluator | None) -> None:
        """Asks for the verdict on everything that was learned, and of the policies before where there were some."""
        for item in observations:
            key = (_ref(item.source), _ref(item.destination), Learned(item.protocol, item.port))
            seen, asked = self._at(key), (item.source, item.destination, item.protocol, item.port)
            seen.judge(evaluator.verdict(*asked))
            seen.new = seen.new or (old is not None and not old.verdict(*asked).allowed)

    def unplaced(self) -> dict[str, tuple[str, ...]]:
        """The addresses of which it is not known whose they were, ascending, by the id of the node that has them."""
        return {
            ref: tuple(map(str, sorted(found, key=lambda address: (address.version, int(address)))))
            for ref, found in sorted(self._unplaced.items())
        }

    def _left_out(self, flow: ResolvedFlow, reason: Reason) -> None:
        if reason is Reason.BOTH_OUTSIDE:
            return  # nothing of it touches a node that anyone asks about; the counts have it
        row = flow.flow
        source = grounded(flow.source, row.client)
        servers = [(grounded(item.end, row.server), item.port) for item in flow.destinations]
        verdict = self._verdict(row, source, servers)
        directed = row.direction is not Direction.UNKNOWN
        refs = (self._stranger(_ref(source)), self._stranger(_server(flow, servers)))
        what = LeftOut(reason, directed, None if verdict is None else answer_of(verdict))
        # Whose address is lower differs from replica to replica.
        swapped = not directed and str(refs[0]) > str(refs[1])
        seen = self._at((refs[1], refs[0], what) if swapped else (*refs, what))
        if verdict is not None:
            seen.rules.update(rules_of(verdict))
        ports = {port for _, port in servers}
        port = ports.pop() if len(ports) == 1 else row.port
        sides = ((source,), tuple(end for end, _ in servers))
        self._enter(seen, flow, sides[::-1] if swapped else sides, port, shared=len(servers) > 1)

    def _enter(
        self, seen: Seen, flow: ResolvedFlow, sides: tuple[Sequence[End], ...], port: int | None, *, shared: bool
    ) -> None:
        row = flow.flow
        active = self.time.mask(row.first_seen, row.last_seen) if self.time else 0
        seen.add(row, port, service=flow.service, shared=shared, active=active)
        for pods, ends in zip(seen.pods, sides, strict=True):
            for end in ends:
                if isinstance(end, PodEnd):
                    pods[end.pod.uid] = end.pod
                elif isinstance(end, AmbiguousEnd | UnknownEnd):
                    self._place(str(end), end.address)

    def _place(self, ref: str, address: Address) -> None:
        known = self._unplaced[ref]
        if len(known) < MOST_STRANGERS:
            known.add(address)

    def _at(self, key: Key) -> Seen:
        found = self.seen.get(key)
        if found is None:
            found = self.seen[key] = Seen()
        return found

    def _verdict(self, row: Flow, source: End, servers: Sequence[tuple[End, int | None]]) -> Verdict | None:
        """Denied where one of those that may have answered would be: the next connection may meet that one."""
        if self._evaluator is None or (row.direction is Direction.UNKNOWN and row.protocol in PORT_PROTOCOLS):
            return None
        verdicts = [self._evaluator.verdict(source, end, row.protocol, port) for end, port in servers]
        return min(verdicts, key=lambda verdict: _SEVERITY.index(verdict.ruling))

    def _stranger(self, ref: Ref) -> Ref:
        if isinstance(ref, str) or ref.address in self._strangers:
            return ref
        if len(self._strangers) >= MOST_STRANGERS:
            return OTHERS
        self._strangers.add(ref.address)
        return ref


def node_id(end: NodeEnd) -> str:
    """One node for all of its addresses."""
    return f"node/{end.name or end.address}"


def _ref(end: End) -> Ref:
    if isinstance(end, ExternalEnd):
        return end
    if isinstance(end, NodeEnd):
        return node_id(end)
    return str(end)


def _server(flow: ResolvedFlow, servers: Sequence[tuple[End, int | None]]) -> Ref:
    refs = {_ref(end) for end, _ in servers}
    return refs.pop() if len(refs) == 1 else f"service/{flow.service}"
