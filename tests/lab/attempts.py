"""Connections that nobody makes: every pod to everything that listens, less what the shop was seen to do."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from shoplab.description import (
    ADMIN,
    API,
    COREDNS,
    NODES,
    PARTNER,
    PARTNER_PORT,
    POSTGRES,
    PROMETHEUS,
    REDIS,
    SHOPPERS,
    WEB,
    pods_of,
)
from shoplab.programs import Client
from shoplab.scenario import standing_pods

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shoplab.description import Workload
    from shoplab.network import Lab

    Row = dict[str, Any]

_LISTENING: Mapping[str, tuple[Workload, tuple[tuple[str, int], ...]]] = {
    workload.name: (workload, ports)
    for workload, ports in (
        (WEB, (("TCP", 8080), ("TCP", 9113))),
        (API, (("TCP", 3000), ("TCP", 9102))),
        (POSTGRES, (("TCP", 5432),)),
        (REDIS, (("TCP", 6379),)),
        (COREDNS, (("TCP", 53), ("UDP", 53))),
        (ADMIN, (("TCP", 8080),)),
        (PROMETHEUS, (("TCP", 9090),)),
    )
}
_SILENT = (("admin-0", pods_of(ADMIN)[0].address, 8080), ("prometheus-0", pods_of(PROMETHEUS)[0].address, 9090))
"""Where the shop itself has nothing listen: pods without a server of their own."""
_SHOPPERS_PORT = 8088
_QUESTION = "000101000001000000000000036170690473686f7003737663" + "07636c7573746572056c6f63616c0000010001"
"""A DNS question for api.shop.svc.cluster.local."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One connection to try.

    Attributes:
        where: The namespace of the lab that it comes from.
        source: The workload or node there; names as in the truth.
        destination: The workload, node or outside address behind `address`.
    """

    where: str
    source: str
    destination: str
    address: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.where} > {self.destination} at {self.address} {self.protocol}/{self.port}"


def never_made(truth: Sequence[Row]) -> list[Attempt]:
    """All that nobody tried during a run, and that a policy has a say in: one end at least is a workload that was seen.

    Args:
        truth: What the drivers of the run wrote down.
    """
    made = {(row["source"], row["destination"], row["protocol"], row["port"]) for row in truth}
    ends = {end for row in truth if row["purpose"] == "shop" for end in (row["source"], row["destination"])}
    governed = {end for end in ends if "[" in end and not end.startswith("kube-system/")}
    return [
        attempt
        for attempt in _everything()
        if {attempt.source, attempt.destination} & governed
        and (attempt.source, attempt.destination, attempt.protocol, attempt.port) not in made
    ]


def _everything() -> Iterator[Attempt]:
    """From every pod and node to every port that answers, what nobody forbids aside: its own, its own node's."""
    sources = [(pod.key, str(pod.workload), pod.node) for pod in standing_pods()]
    sources += [(node.name, f"node/{node.name}", node) for node in NODES]
    targets = [
        (str(workload), address, protocol, port, pod.node)
        for workload, ports in _LISTENING.values()
        for pod in pods_of(workload)
        for protocol, port in ports
        for address in (pod.addresses if port == 9113 else pod.addresses[:1])
    ]
    targets += [(f"node/{node.name}", node.address, "TCP", 9100, node) for node in NODES]
    outside = [(PARTNER, PARTNER_PORT), (SHOPPERS[0], _SHOPPERS_PORT)]
    for (where, source, home), (destination, address, protocol, port, node) in product(sources, targets):
        if source != destination and not (home == node and "node/" in source + destination):
            yield Attempt(
                where=where, source=source, destination=destination, address=address, protocol=protocol, port=port
            )
    for (where, source, _), (address, port) in product(sources, outside):
        yield Attempt(where=where, source=source, destination=address, address=address, protocol="TCP", port=port)


class Tries:
    """Makes attempts in a lab in which the shop runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._clients: dict[str, Client] = {}
        for where, address, port in (*_SILENT, ("shoppers", SHOPPERS[0], _SHOPPERS_PORT)):
            self._client(where)("answer", host=address, port=port)

    def outcome(self, attempt: Attempt) -> str:
        """What the kernel and the server let become of it: established, refused or unanswered."""
        order: dict[str, Any] = {"host": attempt.address, "port": attempt.port, "timeout": 2}
        if attempt.protocol == "UDP":
            answer = self._client(attempt.where)("ask", **order, payload=_QUESTION)
        else:
            answer = self._client(attempt.where)("connect", **order)
        outcome: str = answer["records"][0]["outcome"]
        return outcome

    def _client(self, where: str) -> Client:
        if where not in self._clients:
            self._clients[where] = Client(self._lab, where)
        return self._clients[where]
