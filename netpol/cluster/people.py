"""Pods and nodes by their names, for logs that know no addresses."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from netpol.sources.people import Found

if TYPE_CHECKING:
    from netpol.model.inventory import Inventory, Pod

_ANY: Final = "*"


class PodNames:
    """Implements `netpol.sources.people.People`."""

    def __init__(self, inventory: Inventory) -> None:
        pods = [pod for pod in inventory.pods if pod.addresses and not pod.host_network]
        self._pods = sorted(pods, key=_name)
        self._names = [_name(pod) for pod in self._pods]
        self._nodes = {node.name: node for node in inventory.nodes if node.addresses}

    def pod(self, namespace: str, name: str, first: int, last: int) -> Found | None:
        """The first such pod by name that was there at the time."""
        begin = (namespace, name.removesuffix(_ANY))
        for index in range(bisect_left(self._names, begin), len(self._names)):
            found = self._names[index]
            if found[0] != namespace or not found[1].startswith(begin[1]):
                break
            rest = found[1].removeprefix(begin[1])
            # What a controller adds to its pods' names holds no hyphen: `web-*` is not `web-admin-5d9f-x7k2p`.
            fits = "-" not in rest if name.endswith(_ANY) else not rest
            pod = self._pods[index]
            was_there = (pod.started is None or pod.started <= last) and (pod.ended is None or pod.ended > first)
            if fits and was_there:
                return Found(pod.addresses, pod.started, pod.ended)
        return None

    def node(self, name: str) -> Found | None:
        """The node, as it is now."""
        node = self._nodes.get(name)
        return Found(node.addresses) if node is not None else None


def _name(pod: Pod) -> tuple[str, str]:
    return pod.namespace, pod.name
