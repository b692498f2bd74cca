"""Ports that no pod has, and ports that are too many or meant for clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.flow import protocol_name
from netpol.model.policy import BlockPeer
from netpol.review.findings import Check, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.policy import PolicyPort, Rule
    from netpol.policy.verdict import Way
    from netpol.review.findings import Finding, Written
    from netpol.review.scene import Scene

WIDEST: Final = 1000
"""Ports that one range may have without a remark: passive FTP and RTP servers are told to use a few hundred."""
FIRST_EPHEMERAL: Final = 32768
"""Where Linux begins to take the ports of clients from (net.ipv4.ip_local_port_range)."""

NAMED_PORT: Final = Check(
    id="named-port-unknown",
    severity=Severity.WARNING,
    title="A named port that no pod has",
    meaning="A name is looked up in the containerPorts of the destination: of the policy's own pods for ingress, of "
    "the matched pods for egress, by name and protocol. It never resolves for an address outside.",
    remedy="Use the name and protocol that the containers declare, or the number",
)
WIDE_RANGE: Final = Check(
    id="wide-port-range",
    severity=Severity.INFO,
    title="A wide range of ports",
    meaning=f"The range has more than {WIDEST} ports.",
    remedy="Name the ports that the server listens on, or narrow the range that it is configured to use",
)
EPHEMERAL: Final = Check(
    id="ephemeral-port",
    severity=Severity.INFO,
    title="A port that clients are given",
    meaning=f"Ports from {FIRST_EPHEMERAL} on are those that Linux gives to clients. Replies need no rule, and a "
    "server that asks for any free port gets another one next time. A port that some container or Service declares is "
    "no finding.",
    remedy="Give the server a fixed port that its containers declare, or remove the rule if it was for replies",
)


def port_checks(scene: Scene) -> Iterator[Finding]:
    """NAMED_PORT, WIDE_RANGE and EPHEMERAL for each item of `ports`."""
    declared = _declared(scene)
    for written in scene.written:
        for way, path, rule in written.rules():
            for index, port in enumerate(rule.ports):
                field = (*path, "ports", index)
                if isinstance(port.port, str):
                    message = _unknown_name(scene, written, way, rule, port)
                    if message:
                        yield NAMED_PORT.found(written, (*field, "port"), message)
                elif port.port is not None:
                    yield from _numeric(written, field, port, port.port, declared)


def _numeric(
    written: Written, field: tuple[str | int, ...], port: PolicyPort, first: int, declared: set[tuple[int, int]]
) -> Iterator[Finding]:
    last = port.end_port or first
    if last - first + 1 > WIDEST:
        yield WIDE_RANGE.found(written, (*field, "endPort"), f"{port} is {last - first + 1:,} ports")
    elif last >= FIRST_EPHEMERAL:
        numbers = range(max(first, FIRST_EPHEMERAL), last + 1)
        if not all((port.protocol, number) in declared for number in numbers):
            yield EPHEMERAL.found(written, (*field, "port"), f"no container declares {port}, a port of clients")


def _declared(scene: Scene) -> set[tuple[int, int]]:
    """(protocol, port) of every container and of every endpoint and numeric target of a Service."""
    found = {(item.protocol, item.port) for group in scene.groups for item in group.ports}
    for service in scene.inventory.services:
        found |= {(item.protocol, item.target) for item in service.ports if isinstance(item.target, int)}
        found |= {(protocol, port) for endpoint in service.endpoints for protocol, _, port in endpoint.ports}
    return found


def _unknown_name(scene: Scene, written: Written, way: Way, rule: Rule, port: PolicyPort) -> str:
    """Why a name resolves nowhere, empty where it does or where no pod is there to ask."""
    policy = written.policy
    pods = scene.subjects(policy) if way == "ingress" else scene.matched(policy, rule.peers)
    if not pods:
        only_blocks = bool(rule.peers) and all(isinstance(peer, BlockPeer) for peer in rule.peers)
        return f"{port} never resolves for an address" if way == "egress" and only_blocks else ""
    protocols: set[int] = set()
    names: set[str] = set()
    for group in scene.of(pods):
        protocols |= {item.protocol for item in group.ports if item.name == port.port}
        names |= {item.name for item in group.ports if item.name and item.protocol == port.protocol}
    if port.protocol in protocols:
        return ""
    whose = "the policy's pods" if way == "ingress" else "the pods that the rule matches"
    if protocols:
        return f"none of {whose} declares {port}, but {port.port} as {protocol_name(min(protocols))}"
    known = f"; they declare {', '.join(sorted(names)[:5])}" if names else ""
    return f"none of {whose} declares a port {port}{known}"
