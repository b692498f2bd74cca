"""Which flows may become rules, and why the others may not.

Only connections that demonstrably worked are learned. Flows are judged alone first, then as a whole, for scans and for
ports that are chosen anew each time. What is not learned is counted under exactly one reason: learned + left out == all
connections, always.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netpol.graph.judge import Accepted, Judge, grounded
from netpol.graph.observation import Evidence, Observation, end_key, family_key
from netpol.graph.reasons import Reason, Tally
from netpol.graph.scan import Contacts
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd, ResolvedFlow
from netpol.model.flow import Direction, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.graph.observation import LearnedEnd
    from netpol.graph.scan import Target
    from netpol.model.endpoint import End
    from netpol.model.inventory import Inventory, WorkloadRef

DYNAMIC_PORTS = 8
"""More undeclared ephemeral ports than this between the same two ends are chosen anew each time (passive FTP, RPC)."""

SINGLE_USE_PORTS = 2
"""So are more than this at one end that met one connection each, whoever opened it: a server's own ports meet more."""

FAILURES = frozenset({Reason.REFUSED, Reason.UNANSWERED})
CONTACTS = FAILURES | {
    Reason.AMBIGUOUS_END,
    Reason.UNKNOWN_END,
    Reason.UNMAPPED_SERVICE,
    Reason.UNLABELLED,
    Reason.EPHEMERAL_PORT,
}
"""Left out, and yet a contact that says whether its source scans."""


Watcher = Callable[[ResolvedFlow, Accepted | Reason], None]
"""Is told of every flow once, with what is learned of it or why nothing is."""

Bar = Callable[[ResolvedFlow, Accepted | Reason], Reason | None]
"""Why a flow must not be learned, whatever the flow by itself says: None where nothing stands against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What is learned, and what is not.

    Attributes:
        observations: One per (source, destination, protocol, port) between concrete pods and addresses, sorted.
        learned: Connections that were learned; one whose answering pod was not seen counts once.
        total: Connections that were looked at: `learned` and all that were left out.
        left_out: Per reason, per (source, destination) as they are printed, sorted.
        scanners: (source, nanoseconds since the epoch from which its new edges are quarantined), sorted.
        spread: Services whose answering pod was not seen and whose pods belong to several workloads, with those
            workloads.
    """

    observations: tuple[Observation, ...]
    learned: int
    total: int
    left_out: Mapping[Reason, Mapping[tuple[str, str], Tally]]
    scanners: tuple[tuple[str, int], ...] = ()
    spread: Mapping[str, tuple[WorkloadRef, ...]] = field(default_factory=dict)

    def left_out_connections(self) -> dict[Reason, int]:
        """Connections per reason, in the order of `Reason`, only reasons that occurred."""
        return {
            reason: sum(tally.connections for tally in tallies.values()) for reason, tallies in self.left_out.items()
        }


def admit(
    flows: Iterable[ResolvedFlow],
    inventory: Inventory,
    *,
    selectable: Callable[[WorkloadRef], bool] = lambda _: True,
    watch: Watcher = lambda _flow, _decision: None,
    bar: Bar = lambda _flow, _decision: None,
) -> Admission:
    """Decides for every flow whether it is learned.

    Args:
        flows: In any order; the result does not depend on it.
        inventory: Says which ports are declared.
        selectable: Whether a selector can name a workload's pods (`Selectors.selectable`).
        watch: For those who need more of what was left out than its counts.
        bar: What must never be learned. It is asked once about every flow.
    """
    book = _Book(Judge(inventory, selectable), watch, bar)
    for flow in flows:
        book.enter(flow)
    return book.close()


class _Book:
    """Collects the flows; decides on scans and dynamic ports when all are known."""

    def __init__(self, judge: Judge, watch: Watcher, bar: Bar) -> None:
        self.judge = judge
        self.watch = watch
        self.bar = bar
        self.accepted: list[tuple[ResolvedFlow, Accepted]] = []
        self.contacts: defaultdict[tuple[str, ...], Contacts] = defaultdict(Contacts)
        self.left_out: dict[Reason, dict[tuple[str, str], Tally]] = {}
        self.total = 0

    def enter(self, flow: ResolvedFlow) -> None:
        self.total += flow.flow.connections
        decision = self.judge.judge(flow)
        barred = self.bar(flow, decision)
        if isinstance(decision, Accepted):
            if barred is None:
                self.accepted.append((flow, decision))
            else:
                self.leave_out(flow, barred)
            contacts = self.contacts[end_key(decision.source)]
            contacts.answer(_target(flow), flow.flow.first_seen, silent=not flow.flow.two_way)
            return
        self.leave_out(flow, barred or decision)
        source = grounded(flow.source, flow.flow.client)
        if decision in CONTACTS and isinstance(source, PodEnd | NodeEnd | ExternalEnd):
            contacts = self.contacts[end_key(source)]
            if flow.flow.outcome is Outcome.ESTABLISHED:
                contacts.answer(_target(flow), flow.flow.first_seen, silent=not flow.flow.two_way)
            elif decision in FAILURES and flow.flow.direction is not Direction.UNKNOWN:
                contacts.fail(_target(flow), flow.flow.first_seen)

    def leave_out(self, flow: ResolvedFlow, reason: Reason) -> None:
        self.watch(flow, reason)
        ends = (str(flow.source), "/".join(sorted({str(item.end) for item in flow.destinations})))
        self.left_out.setdefault(reason, {}).setdefault(ends, Tally()).add(flow.flow)

    def close(self) -> Admission:
        scanning = {key: since for key, it in self.contacts.items() if (since := it.scanning_since()) is not None}
        dynamic = self._dynamic()
        learned: dict[tuple[tuple[str, ...], tuple[str, ...], int, int], Observation] = {}
        spread: defaultdict[str, set[WorkloadRef]] = defaultdict(set)
        scanners: dict[tuple[str, ...], str] = {}
        connections = 0
        for flow, accepted in self.accepted:
            source = end_key(accepted.source)
            if source in scanning and self.contacts[source].answered[_target(flow)][0] >= scanning[source]:
                scanners[source] = _spell(accepted.source)
                self.leave_out(flow, Reason.SCAN)
            elif any(
                (*_pair(accepted.source, end), flow.flow.protocol, port) in dynamic
                for end, port in accepted.destinations
            ):
                self.leave_out(flow, Reason.EPHEMERAL_PORT)
            else:
                self.watch(flow, accepted)
                connections += flow.flow.connections
                _learn(flow, accepted, learned)
                workloads = {end.pod.workload for end, _ in accepted.destinations if isinstance(end, PodEnd)}
                if len(workloads) > 1:
                    spread[flow.service] |= workloads
        return Admission(
            observations=tuple(learned[key] for key in sorted(learned)),
            learned=connections,
            total=self.total,
            left_out={
                reason: dict(sorted(self.left_out[reason].items())) for reason in Reason if reason in self.left_out
            },
            scanners=tuple(sorted((name, scanning[key]) for key, name in scanners.items())),
            spread={name: tuple(sorted(spread[name])) for name in sorted(spread)},
        )

    def _dynamic(self) -> frozenset[tuple[tuple[str, ...], tuple[str, ...], int, int]]:
        """The (source, destination, protocol, port) whose port was chosen for the occasion."""
        between: defaultdict[tuple[tuple[str, ...], tuple[str, ...], int], set[int]] = defaultdict(set)
        uses: defaultdict[tuple[tuple[str, ...], int], Counter[int]] = defaultdict(Counter)
        for flow, accepted in self.accepted:
            protocol = flow.flow.protocol
            for end, port in accepted.destinations:
                if self.judge.is_ephemeral(end, protocol, port):
                    between[*_pair(accepted.source, end), protocol].add(port)
                    uses[family_key(end), protocol][port] += flow.flow.connections
        once = {end: {port for port, count in ports.items() if count == 1} for end, ports in uses.items()}
        return frozenset(
            (source, end, protocol, port)
            for (source, end, protocol), ports in between.items()
            for port in ports
            if len(ports) > DYNAMIC_PORTS
            or (port in once[end, protocol] and len(once[end, protocol]) > SINGLE_USE_PORTS)
        )


def _learn(
    flow: ResolvedFlow,
    accepted: Accepted,
    learned: dict[tuple[tuple[str, ...], tuple[str, ...], int, int], Observation],
) -> None:
    """Adds the flow to what is learned, once per end that may have answered."""
    evidence = Evidence.of(flow.flow, service=flow.service, shared=len(accepted.destinations) > 1)
    for end, port in accepted.destinations:
        key = (end_key(accepted.source), end_key(end), flow.flow.protocol, port)
        known = learned.get(key)
        learned[key] = (
            Observation(
                source=accepted.source, destination=end, protocol=flow.flow.protocol, port=port, evidence=evidence
            )
            if known is None
            else known.plus(evidence)
        )


def _pair(source: LearnedEnd, destination: LearnedEnd) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return family_key(source), family_key(destination)


def _target(flow: ResolvedFlow) -> Target:
    """What a source contacts: a workload and not its replicas, so that one dead backend counts once."""
    ends = sorted(
        {
            (*_contact(grounded(item.end, flow.flow.server), flow), str(flow.flow.protocol), str(item.port))
            for item in flow.destinations
        }
    )
    return ends[0] if len(ends) == 1 else (*ends[0], "and others of", flow.service)


def _contact(end: End, flow: ResolvedFlow) -> tuple[str, ...]:
    if isinstance(end, PodEnd | NodeEnd | ExternalEnd):
        return family_key(end)
    return ("3other", str(flow.flow.server))


def _spell(end: LearnedEnd) -> str:
    """A source by its own name: a scanner is one pod or one address, not its workload."""
    if isinstance(end, PodEnd):
        return f"{end.pod.namespace}/{end.pod.name}"
    return f"{end}/{end.address}" if isinstance(end, NodeEnd) else f"{end.address}"
