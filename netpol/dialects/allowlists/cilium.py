"""CiliumNetworkPolicies (cilium.io/v2) that let workloads out by name (docs.cilium.io, "DNS based").

A name is allowed through the addresses that Cilium's DNS proxy saw in answers to the pods, so that each policy sends
its pods' DNS through the proxy, and allows the names that it needs there and those of the cluster; search domains are
tried below the cluster's own. Where another policy allows DNS without such a part, the proxy lets every name pass.

`*.x` stands for one label there and `**.x` for one or more, as in netpol. What has no certain name is allowed by
address, on the same conditions as in a NetworkPolicy; blocks match neither pods nor nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.network_policy import HEAD
from netpol.dialects.allowlists.subjects import subjects
from netpol.dialects.allowlists.values import Allowlist
from netpol.dialects.block import Noted, to_text
from netpol.dialects.cilium import MOST_PORTS
from netpol.dialects.cilium_selectors import NAMESPACE, endpoint_selector
from netpol.model.flow import SCTP, protocol_name
from netpol.model.wildcard import Depth, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dialects.allowlists.entries import Place
    from netpol.dialects.allowlists.subjects import Subject
    from netpol.dialects.allowlists.values import Options
    from netpol.dialects.block import Document, Value
    from netpol.model.host_name import HostName
    from netpol.model.outside import Need

MOST_ADDRESSES: Final = 50
"""Addresses of one name that older releases of Cilium keep for a pod by default; 1.20 keeps 1,000."""

_DNS_SERVERS: Final[Document] = {"matchLabels": {NAMESPACE: "kube-system", "k8s:k8s-app": "kube-dns"}}
_OWN_NAMES: Final[Value] = Noted({"matchPattern": "**.cluster.local"}, "the cluster's own, and search domains")


def cilium(needs: Sequence[Need], options: Options) -> Allowlist:
    """A policy for each selector of each workload: its DNS, names by their ports, then addresses by their ports."""
    ordered = entries.in_order(needs)
    remarks = [*entries.shared(ordered), *entries.open_ended(ordered), *_remarks(ordered)]
    documents = [_document(subject, options, remarks) for subject in subjects(needs, options, remarks)]
    text = "---\n".join(to_text(document, head=HEAD) for document in documents)
    return Allowlist(text=text, remarks=entries.final(remarks))


def _document(subject: Subject, options: Options, remarks: list[str]) -> Document:
    named = [need for need in subject.needs if entries.is_named(need)]
    others = [need for need in subject.needs if not entries.is_named(need)]
    rules: list[Value] = []
    if named:
        rules.append(Noted(_dns(named), "DNS servers other than kube-system/kube-dns have to be named here"))
    for places, group in entries.named_groups(named):
        names: list[Value] = [
            Noted(_name(key), entries.graded(key, grade)) for key, grade in entries.patterns(group).items()
        ]
        rules.append({"toFQDNs": names, "toPorts": list(_ports(places))})
    behind = entries.Behind(others)
    for places, addresses in entries.addresses_by_places(others):
        prefixes = options.prefixes(addresses)
        remarks += entries.bounds(prefixes, options.most, f"{subject.workload} on {entries.spelled(places)}")
        blocks: list[Value] = [Noted(str(prefix.network), behind.note(prefix)) for prefix in prefixes]
        rules.append({"toCIDR": blocks, "toPorts": list(_ports(places))})
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": subject.name, "namespace": subject.workload.namespace},
        "spec": {"endpointSelector": endpoint_selector(subject.selector), "egress": rules},
    }


def _dns(named: Iterable[Need]) -> Document:
    ports: list[Value] = [{"port": "53", "protocol": "UDP"}, {"port": "53", "protocol": "TCP"}]
    names: list[Value] = [_name(key) for key in sorted(entries.patterns(named), key=str)]
    return {"toEndpoints": [_DNS_SERVERS], "toPorts": [{"ports": ports, "rules": {"dns": [*names, _OWN_NAMES]}}]}


def _name(key: HostName | Wildcard) -> Document:
    if not isinstance(key, Wildcard):
        return {"matchName": key}
    return {"matchPattern": f"{'*' if key.depth is Depth.ONE else '**'}.{key.parent}"}


def _ports(places: Sequence[Place]) -> Iterator[Value]:
    for first in range(0, len(places), MOST_PORTS):
        some = places[first : first + MOST_PORTS]
        ports: list[Value] = [{"port": str(port), "protocol": protocol_name(protocol)} for protocol, port in some]
        yield {"ports": ports}


def _remarks(needs: Iterable[Need]) -> Iterator[str]:
    for need in needs:
        if need.protocol == SCTP:
            yield f"{need.workload}: Cilium drops {entries.place(need)} unless it runs with SCTP support (sctp.enabled)"
        if entries.is_named(need) and len(need.addresses) > MOST_ADDRESSES:
            yield (
                f"{need.workload}: {need.name} had {len(need.addresses):,} addresses, of which older releases "
                f"of Cilium keep {MOST_ADDRESSES} by default (tofqdns-endpoint-max-ip-per-hostname)"
            )
        if entries.is_named(need) and need.wildcard is not None and need.wildcard.depth is Depth.ANY:
            yield f"{need.workload}: {need.wildcard}: releases of Cilium that do not know ** match less"
