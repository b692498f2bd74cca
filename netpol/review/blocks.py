"""Blocks of addresses that mean pods or Services, which selectors are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.cidr import AddressSet
from netpol.model.policy import BlockPeer
from netpol.policy.verdict import SOURCES
from netpol.review.findings import Check, Severity
from netpol.review.openness import is_allow_all
from netpol.review.scene import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.cidr import IPBlock
    from netpol.model.inventory import Service
    from netpol.policy.verdict import Way
    from netpol.review.findings import FieldPath, Finding, Written
    from netpol.review.scene import Scene

COVERS_PODS: Final = Check(
    id="ip-block-covers-pods",
    severity=Severity.WARNING,
    title="An ipBlock that covers pods",
    meaning="An ipBlock matches the addresses of pods as well (conformance suite: egress access to server in CIDR "
    "block), although Cilium by default does not; so it means other pods on other plugins, and after the next rollout.",
    remedy="Cut the cluster's pod range out with `except`, and name the pods that are meant by selectors",
)
COVERS_SERVICES: Final = Check(
    id="ip-block-covers-services",
    severity=Severity.WARNING,
    title="An ipBlock of Service addresses",
    meaning="Whether a policy sees a connection before or after the Service's address was replaced by a pod's is not "
    "defined; in practice it is after, so that the block matches nothing. Nothing ever comes from a Service's address.",
    remedy="Name the pods behind the Service by selectors, and their own port instead of the Service's",
)


def blocks(scene: Scene) -> Iterator[Finding]:
    """COVERS_PODS or else COVERS_SERVICES for each block, except in a rule that allows everything anyway."""
    ranges = _Ranges(scene)
    for written in scene.written:
        for way, path, rule in written.rules():
            if is_allow_all(scene, rule):
                continue
            for index, peer in enumerate(rule.peers):
                if isinstance(peer, BlockPeer):
                    yield from _judge(ranges, written, way, (*path, SOURCES[way], index, "ipBlock"), peer.block)


class _Ranges:
    """Which addresses are the cluster's own."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        inventory = scene.inventory
        self.pods = AddressSet.of(*inventory.pod_cidrs)
        self.services = AddressSet.of(*inventory.service_cidrs)
        self.virtual = [
            (address, service)
            for service in inventory.services
            if service.ended is None
            for address in service.addresses
        ]

    def services_inside(self, block: IPBlock, services: list[Service]) -> str:
        """Which of their addresses a block covers, empty for none."""
        if services:
            return f"the address of {listed(sorted({f'{item.namespace}/{item.name}' for item in services}))}"
        inside = self.services & block.addresses
        return f"Service addresses: {_blocks_of(inside)}" if inside else ""


def _judge(ranges: _Ranges, written: Written, way: Way, path: FieldPath, block: IPBlock) -> Iterator[Finding]:
    pods = ranges.scene.pods_inside(block)
    if pods:
        names = list(dict.fromkeys(f"{pod.namespace}/{pod.name}" for _, pod in pods))
        yield COVERS_PODS.found(written, path, f"{block} covers the addresses of pods: {listed(names)}")
    elif inside := ranges.pods & block.addresses:
        yield COVERS_PODS.found(written, path, f"{block} covers addresses that pods are given: {_blocks_of(inside)}")
    else:
        services = [service for address, service in ranges.virtual if address in block]
        what = ranges.services_inside(block, services)
        if what and way == "ingress":
            message = f"{block} covers {what}; no connection comes from there"
            yield COVERS_SERVICES.found(written, path, message, remedy="Remove the block")
        elif what:
            yield COVERS_SERVICES.found(written, path, f"{block} covers {what}", remedy=_remedy(services))


def _blocks_of(addresses: AddressSet) -> str:
    return listed([str(block) for block in addresses.cidrs()])


def _remedy(services: list[Service]) -> str:
    """A selector-less Service has no pods to select: the addresses of its endpoints are what a rule must name."""
    if len(services) == 1 and services[0].selector is None and services[0].endpoints:
        ports = sorted({port for endpoint in services[0].endpoints for _, _, port in endpoint.ports})
        addresses = listed(sorted({str(endpoint.address) for endpoint in services[0].endpoints}))
        return f"Name the endpoints, {addresses}" + (f", with port {', '.join(map(str, ports))}" if ports else "")
    return ""
