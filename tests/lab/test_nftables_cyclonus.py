"""The lab's translation of policies, in the kernel, against cyclonus: random small clusters, each connection tried.

Neither shares anything with netpol, whose own judge is held against cyclonus elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from shoplab.network import Lab
from shoplab.nftables import Place, ruleset
from shoplab.programs import Client

from tests.lab.conftest import cannot_build
from tests.oracles.oracle import Oracle, build
from tests.policy import clusters
from tests.policy.cyclonus_words import (
    as_cyclonus_reads,
    defaulted,
    end,
    port_name,
    simplified,
    without_empty_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Manifest = dict[str, Any]

pytestmark = pytest.mark.namespaces

PORTS = (80, 81, 443)
FREE = tuple(f"10.0.2.{number}" for number in range(1, 5))
"""What pods get whose addresses are taken."""


class Star:
    """A node in the middle, and around it a machine for each address that a pod, or somebody outside, can have."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._clients: dict[str, Client] = {}
        lab.add("node")
        lab.forward("node")
        # Datagrams are refused by ICMP, of which the kernel sends a few a second only: the rest would be silence.
        limits = ("net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_msgs_per_sec=1000000", "net.ipv6.icmp.ratelimit=0")
        lab.run("node", "sysctl", "-qw", *limits)
        lab.ip("node", "addr add 169.254.1.1/32 dev lo")
        for number, address in enumerate((*clusters.POD_ADDRESSES, *FREE, *clusters.OUTSIDE)):
            name = f"m{number}"
            lab.add(name)
            self._wire(name, address)
            self._clients[address] = client = Client(lab, name)
            for port in PORTS:
                client("answer", host=address, port=port)

    def _wire(self, name: str, address: str) -> None:
        """A wire of its own to the node, over which it reaches everything."""
        self._lab.ip("node", f"link add {name} type veth peer name eth0 netns {self._lab.namespace(name)}")
        self._lab.ip("node", f"link set {name} up")
        self._lab.ip(name, "link set eth0 up")
        if ":" in address:
            self._lab.ip("node", f"addr add fe80::1/64 dev {name} nodad")
            self._lab.ip(name, f"addr add {address}/128 dev eth0 nodad")
            self._lab.ip(name, "route add default via fe80::1 dev eth0")
        else:
            self._lab.ip(name, f"addr add {address}/32 dev eth0")
            self._lab.ip(name, "route add default via 169.254.1.1 dev eth0 onlink")
        self._lab.ip("node", f"route add {address} dev {name}")

    def enforce(self, policies: list[Manifest], places: list[Place]) -> None:
        self._lab.run("node", "nft", "-f", "-", text=ruleset(policies, places, "node"))

    def passes(self, source: str, destination: str, protocol: str, port: int) -> bool:
        # What is denied is refused: nobody waits so long, but where the machine is busy.
        order = {"host": destination, "port": port, "timeout": 15}
        if protocol == "TCP":
            answer = self._clients[source]("connect", **order)
        else:
            answer = self._clients[source]("ask", **order, payload="00")
        outcome: str = answer["records"][0]["outcome"]
        assert outcome in {"established", "refused"}
        return outcome == "established"


@pytest.fixture(scope="module")
def star() -> Iterator[Star]:
    why_not = cannot_build()
    if why_not:
        pytest.skip(why_not)
    with Lab() as lab:
        yield Star(lab)


@pytest.fixture(scope="module")
def cyclonus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    with Oracle(build("cyclonus", tmp_path_factory.mktemp("cyclonus"))) as oracle:
        yield oracle


def _place(cluster: Manifest, pod: Manifest, number: int) -> Place:
    (address,) = pod["status"]["podIPs"]
    (container,) = pod["spec"]["containers"]
    return Place(
        key=f"pod-{number}",
        namespace=pod["metadata"]["namespace"],
        labels=pod["metadata"]["labels"],
        namespace_labels=end(cluster, pod, address["ip"])["namespaceLabels"],
        addresses=(address["ip"],),
        node="node",
        ports=tuple(
            (port.get("protocol", "TCP"), port["name"], port["containerPort"])
            for port in container["ports"]
            if port.get("name")
        ),
    )


def _questions(cluster: Manifest) -> Iterator[Manifest]:
    """Every connection that one of the machines can try and a policy can decide."""
    held = [(pod, pod["status"]["podIPs"][0]["ip"]) for pod in cluster["pods"]]
    ends: list[tuple[Manifest | None, str]] = [*held, *((None, address) for address in clusters.OUTSIDE)]
    for source_pod, source in ends:
        for pod, address in ends:
            of_one_family = (":" in source) == (":" in address)
            if source == address or not of_one_family or (source_pod is None and pod is None):
                continue
            for protocol in ("TCP", "UDP"):
                for port in PORTS:
                    yield {
                        "source": end(cluster, source_pod, source),
                        "destination": end(cluster, pod, address),
                        "port": port,
                        "name": port_name(pod, port, protocol),
                        "protocol": protocol,
                    }


# Nothing is shrunk: thousands of connections would be tried, to make a short example out of a clear one.
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(cluster=clusters.clusters().map(simplified), policies=clusters.policies())
def test_the_kernel_agrees(star: Star, cyclonus: Oracle, cluster: Manifest, policies: list[Manifest]) -> None:
    cluster, policies = without_empty_values(cluster), without_empty_values(policies)
    star.enforce(as_cyclonus_reads(policies), [_place(cluster, pod, n) for n, pod in enumerate(cluster["pods"])])
    questions = list(_questions(cluster))
    theirs = cyclonus.ask({"policies": [defaulted(policy) for policy in policies], "connections": questions})
    for question, their in zip(questions, theirs, strict=True):
        ends = question["source"]["ip"], question["destination"]["ip"]
        assert star.passes(*ends, question["protocol"], question["port"]) is their, question
