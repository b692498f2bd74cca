"""Flow graphs of any size, made of flows and told by netpol itself: what the page is tried and measured with."""

from __future__ import annotations

import random
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from netpol.model.flow import UDP, Outcome
from tests.graph.world import flow, inventory, pod
from tests.view.drawn import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.inventory import Pod
    from netpol.view.flow_graph import FlowGraph

PORTS = (80, 443, 3306, 5432, 6379, 8080, 9090, 9092)


@cache
def large_graph(workloads: int, edges: int, *, namespaces: int = 20, hours: int = 24) -> FlowGraph:
    """A cluster of so many workloads in which about so many edges were seen, over so many hours.

    Most talk within their namespace, all to DNS; some are refused, some leave the cluster. The same arguments give the
    same graph.
    """
    pods = [
        pod(
            f"w{number:04}-0",
            {"app": f"w{number:04}"},
            owner=f"w{number:04}",
            namespace=f"team-{number % namespaces:02}",
        )
        for number in range(workloads)
    ]
    dns = pod("coredns-0", {"k8s-app": "kube-dns"}, owner="coredns", namespace="kube-system", ports=[53])
    flows = list(islice(_flows(pods, dns, namespaces, hours), edges))
    return graph_of(flows, inventory([*pods, dns]))


def _flows(pods: list[Pod], dns: Pod, namespaces: int, hours: int) -> Iterator[ResolvedFlow]:
    draw = random.Random(6)
    for one in pods:
        yield flow(one, dns, 53, protocol=UDP, at=draw.random() * hours * 3600)
    seen = set()
    while True:
        source = draw.randrange(len(pods))
        near = (source + namespaces * draw.randrange(1, 40)) % len(pods)
        target = near if draw.random() < 0.8 else draw.randrange(len(pods))
        port = draw.choice(PORTS)
        if source == target or (source, target, port) in seen:
            continue
        seen.add((source, target, port))
        at = draw.random() * hours * 3600
        chance = draw.random()
        if chance < 0.02:
            yield flow(pods[source], f"203.0.113.{draw.randrange(1, 250)}", 443, at=at, connections=3)
        elif chance < 0.05:
            yield flow(pods[source], pods[target], port, at=at, outcome=Outcome.REFUSED)
        else:
            yield flow(pods[source], pods[target], port, at=at, connections=draw.randrange(1, 200))
