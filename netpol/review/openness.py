"""Rules that allow everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.model.cidr import AddressSet
from netpol.model.policy import BlockPeer
from netpol.model.ports import PortMap
from netpol.policy.matching import rule_ports
from netpol.review.findings import Check, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.model.inventory import Inventory
    from netpol.model.policy import Rule
    from netpol.review.findings import Finding
    from netpol.review.scene import Scene

ALLOW_ALL: Final = Check(
    id="allow-all",
    severity=Severity.WARNING,
    title="A rule that allows everything",
    meaning="It has no peers, or blocks that cover every address of each family that the cluster uses, and every port "
    "of TCP, UDP and SCTP. All other rules of this direction are pointless for the pods of the policy.",
    remedy="Name the peers and ports that are needed; `netpol learn` finds them in the traffic",
)


def openness(scene: Scene) -> Iterator[Finding]:
    """ALLOW_ALL for each rule."""
    for written in scene.written:
        for way, path, rule in written.rules():
            if is_allow_all(scene, rule):
                whom = "into" if way == "ingress" else "out of"
                yield ALLOW_ALL.found(written, path, f"the rule allows every connection {whom} the pods of the policy")


def is_allow_all(scene: Scene, rule: Rule) -> bool:
    """Whether the rule allows everyone on every port."""
    return rule_ports(rule, ()) == PortMap.ALL and (not rule.peers or _covers_all(scene.inventory, rule))


def _covers_all(inventory: Inventory, rule: Rule) -> bool:
    covered = AddressSet.EMPTY
    for peer in rule.peers:
        if isinstance(peer, BlockPeer):
            covered |= peer.block.addresses
    return bool(covered) and _family_space(inventory) <= covered


def _family_space(inventory: Inventory) -> AddressSet:
    """All addresses of the families that the cluster uses; of both where nothing tells."""
    held = (inventory.pods, inventory.nodes, inventory.services)
    versions = {address.version for holders in held for holder in holders for address in holder.addresses}
    ranges = AddressSet.of(*inventory.pod_cidrs, *inventory.service_cidrs)
    v4, v6 = 4 in versions or bool(ranges.v4), 6 in versions or bool(ranges.v6)
    if not (v4 or v6):
        return AddressSet.ALL
    return AddressSet(AddressSet.ALL.v4 if v4 else (), AddressSet.ALL.v6 if v6 else ())
