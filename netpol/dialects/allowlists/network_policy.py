"""NetworkPolicies (networking.k8s.io/v1) that let workloads out to the addresses that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.subjects import subjects
from netpol.dialects.allowlists.values import Allowlist
from netpol.dialects.block import Noted, to_text
from netpol.dialects.cilium_selectors import endpoint_selector
from netpol.model.flow import protocol_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.dialects.allowlists.subjects import Subject
    from netpol.dialects.allowlists.values import Options
    from netpol.dialects.block import Document, Value
    from netpol.model.outside import Need

HEAD = "To be applied beside the policies of `netpol learn`: alone it closes all other egress of these pods, DNS too."


def network_policies(needs: Sequence[Need], options: Options) -> Allowlist:
    """A policy for each selector of each workload; a rule for each set of ports, with its addresses as ipBlocks."""
    remarks = entries.shared(entries.in_order(needs))
    documents = [_document(subject, options, remarks) for subject in subjects(needs, options, remarks)]
    text = "---\n".join(to_text(document, head=HEAD) for document in documents)
    return Allowlist(text=text, remarks=entries.final(remarks))


def _document(subject: Subject, options: Options, remarks: list[str]) -> Document:
    behind = entries.Behind(subject.needs)
    rules: list[Value] = []
    for places, addresses in entries.addresses_by_places(subject.needs):
        prefixes = options.prefixes(addresses)
        remarks += entries.bounds(prefixes, options.most, f"{subject.workload} on {entries.spelled(places)}")
        blocks: list[Value] = [
            {"ipBlock": {"cidr": Noted(str(prefix.network), behind.note(prefix))}} for prefix in prefixes
        ]
        ports: list[Value] = [{"protocol": protocol_name(protocol), "port": port} for protocol, port in places]
        rules.append({"to": blocks, "ports": ports})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": subject.name, "namespace": subject.workload.namespace},
        "spec": {"podSelector": endpoint_selector(subject.selector), "policyTypes": ["Egress"], "egress": rules},
    }
