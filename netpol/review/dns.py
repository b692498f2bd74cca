"""Pods whose egress is isolated and that may open something, but cannot ask for a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.flow import TCP, UDP
from netpol.model.tiers import Action, NamedPort, Tier
from netpol.review.findings import Check, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.policy import Rule
    from netpol.model.tiers import TierPort, TierRule
    from netpol.review.findings import Finding
    from netpol.review.scene import Scene

NO_DNS: Final = Check(
    id="egress-without-dns",
    severity=Severity.INFO,
    title="Egress is isolated, and no rule covers DNS",
    meaning="DNS has no exemption: pods with isolated egress cannot resolve names unless a rule of one of their "
    "policies, or one of the Admin tier that allows, covers port 53 of some peer, or the port behind a Service's port "
    "53. A pod whose egress is closed entirely is no finding.",
    remedy="Allow UDP/53 and TCP/53 to the cluster's DNS pods, unless the pods use addresses only",
)

DNS_PORT: Final = 53
_CUSTOMARY: Final = frozenset({"dns", "dns-tcp", "domain"})


def dns(scene: Scene) -> Iterator[Finding]:
    """NO_DNS for the first policy, by namespace and name, of each pod that is concerned."""
    ports = _Ports(scene)
    isolating = [written for written in scene.written if written.policy.isolates_egress and written.policy.egress]
    resolving = 0
    for tier in scene.tiers:
        # What the Admin tier allows, no NetworkPolicy can close.
        rules = tier.policy.egress if tier.policy.tier is Tier.ADMIN else ()
        if any(rule.action is Action.ALLOW and ports.cover(rule) for rule in rules):
            resolving |= scene.chosen(tier.policy.subject)
    for written in isolating:
        if any(ports.cover(rule) for rule in written.policy.egress):
            resolving |= scene.subjects(written.policy)
    told = resolving
    for written in isolating:
        pods = scene.subjects(written.policy) & ~told
        told |= pods
        if pods:
            message = f"{scene.names(pods)} may open connections, but none to port {DNS_PORT}"
            yield NO_DNS.found(written, ("spec", "egress"), message)


class _Ports:
    """What a rule must cover to let a name be resolved."""

    def __init__(self, scene: Scene) -> None:
        targets = [
            item.target for service in scene.inventory.services for item in service.ports if item.port == DNS_PORT
        ]
        self._numbers = {DNS_PORT, *(target for target in targets if isinstance(target, int))}
        self._names = {*_CUSTOMARY, *(target for target in targets if isinstance(target, str))}
        for group in scene.groups:
            self._names |= {item.name for item in group.ports if item.name and item.port in self._numbers}

    def cover(self, rule: Rule | TierRule) -> bool:
        return not rule.ports or any(self._covers(port) for port in rule.ports)

    def _covers(self, port: TierPort) -> bool:
        if isinstance(port, NamedPort):
            return port.name in self._names
        if port.protocol not in {TCP, UDP}:
            return False
        if port.port is None:
            return True
        if isinstance(port.port, str):
            return port.port in self._names
        last = port.end_port or port.port
        return any(port.port <= number <= last for number in self._numbers)
