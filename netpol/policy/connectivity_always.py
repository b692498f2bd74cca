"""Pairs of pods that no policy can part: a pod and the hostNetwork pods of the node that it runs on.

"Traffic to and from the node where a Pod is running is always allowed, regardless of the IP address of the Pod or the
node" (Kubernetes, "Network Policies"), and a hostNetwork pod is its node.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netpol.policy.connectivity import Connectivity
    from netpol.policy.connectivity_places import Group, Places

Pairs = dict[int, list[tuple[int, int]]]
"""Number of the other group to pairs of (member of the group asked for, member of the other)."""


class OwnNodes:
    """Who shares a node with whom.

    Args:
        connectivity: Any side that has the pods: a pod's node does not depend on policies.
        places: The workloads.
    """

    def __init__(self, connectivity: Connectivity, places: Places) -> None:
        self._places = places
        self._nodes: dict[int, tuple[str, bool]] = {}
        self._last: tuple[Group | None, Pairs] = (None, {})
        self._on_node: dict[bool, defaultdict[str, list[tuple[int, int]]]] = {
            True: defaultdict(list),
            False: defaultdict(list),
        }
        for position, group in enumerate(places.groups):
            for number in (number for numbers in group.members for number in numbers):
                pod = places.partition.members[number].pods[connectivity.side]
                node = connectivity.node(pod) if pod is not None else ""
                if pod is not None and node:
                    self._nodes[number] = (node, pod.host_network)
                    self._on_node[pod.host_network][node].append((position, number))

    def pairs(self, group: Group) -> Pairs:
        """All pairs that one pod of this workload is in; the connection may be opened from either side."""
        if self._last[0] is not group:
            self._last = (group, self._find(group))
        return self._last[1]

    def _find(self, group: Group) -> Pairs:
        found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for number in (number for numbers in group.members for number in numbers):
            node, host = self._nodes.get(number, ("", False))
            if node:
                for position, other in self._on_node[not host].get(node, ()):
                    found[position].append((number, other))
        return dict(found)
