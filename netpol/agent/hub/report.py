"""How the nodes fare, as `/v1/status` and `netpol status -o json` tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netpol.flows.write import timestamp

if TYPE_CHECKING:
    from netpol.agent.hub.state import NodeState

_SECOND: Final = 1_000_000_000


def node_report(node: NodeState, now: int) -> dict[str, Any]:
    """One node.

    Args:
        node: What its windows said.
        now: Nanoseconds since the Unix epoch.
    """
    return {
        "node": node.observer,
        "records": node.records,
        "windows": node.windows,
        "packets": node.packets,
        "first_seen": timestamp(node.first_begin),
        "last_seen": timestamp(node.last_end),
        "lag_seconds": max(0, (now - node.last_end) // _SECOND),
        "drops": {
            "kernel": node.kernel,
            "evicted": node.evicted,
            "undecodable": node.undecodable,
            "windows_given_up": node.given_up,
            "records_given_up": node.given_up_records,
            "windows_missing": node.missing,
        },
        "interfaces": node.interfaces,
        "version": node.version,
    }
