"""All formats of allowlists by name, and all of them as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import aws, calico, cilium, envoy, feed, istio, network_policy, nftables, plain, squid
from netpol.dialects.allowlists.entries import by_workload
from netpol.dialects.allowlists.values import Format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netpol.dialects.allowlists.values import Options
    from netpol.model.outside import Need

FORMATS: Final[Mapping[str, Format]] = {
    "domains": Format(summary="Names, one a line", suffix=".txt", write=plain.domains, together=True, bounded=False),
    "cidrs": Format(summary="Blocks of addresses, one a line", suffix=".txt", write=plain.cidrs, together=True),
    "networkpolicy": Format(
        summary="NetworkPolicies with ipBlocks", suffix=".yaml", write=network_policy.network_policies
    ),
    "cilium": Format(summary="CiliumNetworkPolicies with toFQDNs", suffix=".yaml", write=cilium.cilium),
    "calico": Format(summary="Calico NetworkPolicies with domains", suffix=".yaml", write=calico.policies),
    "calico-sets": Format(summary="Calico GlobalNetworkSets with domains", suffix=".yaml", write=calico.sets),
    "istio": Format(summary="Istio ServiceEntries", suffix=".yaml", write=istio.istio),
    "envoy": Format(summary="Bootstrap of Envoy as an egress proxy", suffix=".yaml", write=envoy.envoy),
    "squid": Format(summary="Access lists of Squid", suffix=".conf", write=squid.squid),
    "nftables": Format(summary="Sets and a chain for nft -f", suffix=".nft", write=nftables.nftables),
    "ipset": Format(summary="Sets for ipset restore", suffix=".ipset", write=nftables.ipset),
    "iptables": Format(
        summary="A chain that matches these sets", suffix=".iptables", write=nftables.iptables, bounded=False
    ),
    "aws-network-firewall": Format(
        summary="Domain list of AWS Network Firewall",
        suffix=".json",
        write=aws.domain_list,
        together=True,
        bounded=False,
    ),
    "aws-security-group": Format(
        summary="Egress rules of an EC2 security group", suffix=".json", write=aws.security_group, together=True
    ),
    "feed": Format(summary="Workload, addresses, ports: JSON Lines", suffix=".jsonl", write=feed.json_lines),
    "feed-csv": Format(summary="The same as CSV", suffix=".csv", write=feed.comma_separated),
}
"""Name as `-o` takes it to format."""

LEFT_OUT: Final = "REMARKS.txt"
"""What each file cannot say."""


def files(needs: Sequence[Need], options: Options, formats: Mapping[str, Format] = FORMATS) -> dict[str, str]:
    """Relative paths to texts, sorted; none without needs.

    `FORMAT.suffix` for each format; `FORMAT/NAMESPACE/NAME.kind.suffix` for each workload too where the format does not
    tell them apart; and what they leave out, in REMARKS.txt.

    Names of workloads are Kubernetes names and kinds letters and digits (the readers of manifests see to it), so that
    no path leaves the folder.
    """
    if not needs:
        return {}
    found: dict[str, str] = {}
    said: list[str] = []
    for name, form in formats.items():
        whole = form.write(needs, options)
        found[f"{name}{form.suffix}"] = whole.text
        said += [f"{name}: {remark}\n" for remark in whole.remarks]
        for workload, own in by_workload(needs) if form.together else ():
            stem = f"{name}/{workload.namespace}/{workload.name}.{workload.kind.lower()}"
            found[f"{stem}{form.suffix}"] = form.write(own, options).text
    found[LEFT_OUT] = "".join(said)
    return dict(sorted(found.items()))
