"""AWS: a domain list of Network Firewall, and the egress rules of a security group, as the AWS CLI takes them.

`aws network-firewall create-rule-group --cli-input-json file://...` and `aws ec2 authorize-security-group-egress
--group-id sg-... --cli-input-json file://...`. JSON has no comments: the evidence for a block is in its description.

A domain list looks at the names in TLS and HTTP, on any port. An item with a leading dot stands for the name and all
below it, at any depth: wider than any wildcard of netpol, so that the names that were seen are written instead.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from netpol.dialects.allowlists import entries, plain
from netpol.dialects.allowlists.values import Allowlist
from netpol.model.flow import SCTP, TCP, protocol_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.dialects.allowlists.values import Options
    from netpol.model.outside import Need

GROUP_NAME: Final = "netpol-egress"
USUAL_RULES: Final = 60
"""Outbound rules of a security group for each family, unless AWS raised the quota."""

_LONGEST_DESCRIPTION: Final = 255
_NOT_DESCRIBED: Final = re.compile(r"[^a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]")
"""What the description of a rule cannot hold (EC2 API, IpRange)."""


def domain_list(needs: Sequence[Need], options: Options) -> Allowlist:  # noqa: ARG001 - every writer takes both
    """A stateful rule group that allows the names and drops other TLS and HTTP."""
    named, remarks = entries.left_out(entries.in_order(needs), _unlisted)
    for need in named:
        if need.wildcard is not None:
            remarks.append(
                f"{need.workload}: {need.wildcard} is written as the names that were seen: `.{need.wildcard.parent}` "
                "would stand for that name too, and for any depth"
            )
    if named:
        remarks.append(plain.without_ports(named))
        remarks.append("a domain list sees names in TLS and HTTP only: other protocols need a rule of their own")
    targets = sorted({need.name for need in named if need.name is not None})
    if not targets:
        return Allowlist(text="", remarks=entries.final(remarks))
    source = {"Targets": targets, "TargetTypes": ["TLS_SNI", "HTTP_HOST"], "GeneratedRulesType": "ALLOWLIST"}
    group = {
        "RuleGroupName": GROUP_NAME,
        "Type": "STATEFUL",
        # One for each rule that is made of it: an item for each target type, and as many again that AWS adds.
        "Capacity": 4 * len(targets) + 10,
        "RuleGroup": {"RulesSource": {"RulesSourceList": source}},
    }
    return Allowlist(text=_json(group), remarks=entries.final(remarks))


def security_group(needs: Sequence[Need], options: Options) -> Allowlist:
    """Egress permissions, one for each (protocol, port), for all workloads together."""
    kept, remarks = entries.left_out(entries.in_order(needs), _ungrouped)
    remarks += entries.shared(kept)
    behind = entries.Behind(kept)
    permissions = []
    rules = {4: 0, 6: 0}
    for place, own in entries.by_place(kept):
        prefixes = options.prefixes(address for need in own for address in need.addresses)
        remarks += entries.bounds(prefixes, options.most, entries.spelled([place]))
        protocol, port = place
        permission: dict[str, Any] = {"IpProtocol": protocol_name(protocol).lower(), "FromPort": port, "ToPort": port}
        for version, field, key in ((4, "IpRanges", "CidrIp"), (6, "Ipv6Ranges", "CidrIpv6")):
            some = [prefix for prefix in prefixes if prefix.network.version == version]
            rules[version] += len(some)
            if some:
                permission[field] = [
                    {key: str(prefix.network), "Description": _description(behind.note(prefix))} for prefix in some
                ]
        permissions.append(permission)
    remarks += [
        f"{count:,} rules for IPv{version} are more than the {USUAL_RULES} that a security group holds by default: "
        "bound the number of blocks, or have the quota raised"
        for version, count in rules.items()
        if count > USUAL_RULES
    ]
    return Allowlist(text=_json({"IpPermissions": permissions}), remarks=entries.final(remarks))


def _unlisted(need: Need) -> str | None:
    return plain.unnamed(need) or (None if need.protocol == TCP else "a domain list sees TLS and HTTP over TCP only")


def _ungrouped(need: Need) -> str | None:
    return "a security group cannot limit SCTP to a port" if need.protocol == SCTP else None


def _description(text: str) -> str:
    return _NOT_DESCRIBED.sub("_", text)[:_LONGEST_DESCRIPTION]


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
