"""What must never be learned and is allowed all the same: no policy that is written closes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.graph.judge import grounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.model.endpoint import End, ResolvedFlow
    from netpol.policy.evaluate import Evaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOpen:
    """A connection that policies allow, as far as its two ends are theirs to speak of.

    Attributes:
        protocol: IP protocol number.
        port: The server's.
    """

    source: End
    destination: End
    protocol: int
    port: int


def left_open(flows: Iterable[ResolvedFlow], evaluator: Evaluator) -> Iterator[LeftOpen]:
    """What the policies do not close: of workloads without a policy, and by rules that labels make for others too.

    Args:
        flows: Such as must not be allowed.
        evaluator: Knows the policies that are written.
    """
    for flow in flows:
        row = flow.flow
        source = grounded(flow.source, row.client)
        for item in flow.destinations:
            end = grounded(item.end, row.server)
            if item.port is not None and evaluator.verdict(source, end, row.protocol, item.port).allowed:
                yield LeftOpen(source=source, destination=end, protocol=row.protocol, port=item.port)
