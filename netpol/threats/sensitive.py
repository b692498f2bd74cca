"""Pods that read cloud metadata or speak to a kubelet: findings, and no rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from netpol.graph.admit import FAILURES
from netpol.graph.judge import Accepted, grounded
from netpol.graph.reasons import Reason
from netpol.model.cidr import AddressSet
from netpol.model.endpoint import ExternalEnd, NodeEnd, PodEnd
from netpol.model.platform import Kind, platform_at, platform_of_node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.model.flow import Address
    from netpol.model.inventory import WorkloadRef
    from netpol.model.platform import Platform

_REASONS: Final[Mapping[Kind, Reason]] = {Kind.METADATA: Reason.METADATA, Kind.KUBELET: Reason.KUBELET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one workload read.

    Attributes:
        own_node: A kubelet of the node that the pod ran on: no policy can close that.
        protocol: IP protocol number.
    """

    workload: WorkloadRef
    platform: Platform
    address: Address
    protocol: int
    port: int
    own_node: bool
    connections: int


class Sensitive:
    """Asks about flows, and keeps what must not be learned.

    Args:
        allowed: Workloads that are meant to read cloud metadata.
    """

    def __init__(self, allowed: frozenset[WorkloadRef] = frozenset()) -> None:
        self._allowed = allowed
        self._uses: dict[tuple[WorkloadRef, Address, int, int], Use] = {}

    def bar(self, flow: ResolvedFlow, decision: Accepted | Reason) -> Reason | None:
        """Why the flow must not be learned; what failed has a reason already."""
        use = self.use(flow, decision)
        if use is None:
            return None
        key = use.workload, use.address, use.protocol, use.port
        known = self._uses.get(key)
        added = known.connections if known else 0
        self._uses[key] = replace(use, connections=use.connections + added)
        return _REASONS[use.platform.kind]

    def use(self, flow: ResolvedFlow, decision: Accepted | Reason) -> Use | None:
        """What of the platform a pod reached that it must not be given, None for anything else."""
        source = grounded(flow.source, flow.flow.client)
        failed = isinstance(decision, Reason) and decision in FAILURES
        if not isinstance(source, PodEnd) or failed:
            return None
        for item in flow.destinations:
            end = grounded(item.end, flow.flow.server)
            platform = _platform(end, flow.flow.protocol, item.port)
            if item.port is None or platform is None or not isinstance(end, NodeEnd | ExternalEnd):
                continue
            if platform.kind is Kind.METADATA and source.pod.workload in self._allowed:
                continue
            return Use(
                workload=source.pod.workload,
                platform=platform,
                address=end.address,
                protocol=flow.flow.protocol,
                port=item.port,
                own_node=isinstance(end, NodeEnd) and bool(end.name) and end.name == source.pod.node,
                connections=flow.flow.connections,
            )
        return None

    @property
    def metadata(self) -> AddressSet:
        """Addresses of cloud metadata that was barred; none where some workload is meant to read it."""
        barred = () if self._allowed else self._uses.values()
        return AddressSet.collect(use.address for use in barred if use.platform.kind is Kind.METADATA)

    @property
    def uses(self) -> tuple[Use, ...]:
        """All that was barred: kubelets last, by workload, address and port."""
        return tuple(
            sorted(
                self._uses.values(),
                key=lambda use: (
                    use.platform.kind is Kind.KUBELET,
                    use.workload,
                    use.address.version,
                    int(use.address),
                    use.port,
                ),
            )
        )


def _platform(end: End, protocol: int, port: int | None) -> Platform | None:
    if port is None:
        return None
    if isinstance(end, NodeEnd):
        found: Platform | None = platform_of_node(end.name, protocol, port)
    else:
        found = platform_at(end.address, protocol, port) if isinstance(end, ExternalEnd) else None
    return found if found is not None and found.kind in _REASONS else None
