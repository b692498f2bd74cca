"""Calico NetworkPolicies and GlobalNetworkSets (projectcalico.org/v3) that let workloads out by name.

Domains are matched by Calico Enterprise and Calico Cloud alone (docs.tigera.io, "DNS policy"). The open-source edition
drops the field: a rule with `domains` would allow everyone there, so a person has to ask for that form. A set whose
domains were dropped holds nobody, so that the form with sets fails closed.

`*.x` stands for one or more labels there: a wildcard of one label cannot be said, and its names are written instead.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.network_policy import HEAD
from netpol.dialects.allowlists.subjects import subjects, word
from netpol.dialects.allowlists.values import Allowlist
from netpol.dialects.block import Noted, to_text
from netpol.dialects.calico_selectors import subject as subject_selector
from netpol.model.flow import protocol_name
from netpol.model.wildcard import Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dialects.allowlists.entries import Place
    from netpol.dialects.allowlists.subjects import Subject
    from netpol.dialects.allowlists.values import Options
    from netpol.dialects.block import Document, Value
    from netpol.model.outside import Need

SET_LABEL: Final = "netpol-allowlist"
"""By which a policy selects its sets; the value is the set's own name."""

EDITIONS: Final = "domains are matched by Calico Enterprise and Calico Cloud alone"
_OPEN_ELSEWHERE: Final = f"{EDITIONS}: elsewhere the field is dropped, and such a rule would allow everyone"
_CLOSED_ELSEWHERE: Final = f"{EDITIONS}: elsewhere the field is dropped, and the sets hold no name"
_API: Final = "projectcalico.org/v3"
_DNS_SELECTOR: Final = "k8s-app == 'kube-dns'"
_DNS_NAMESPACE: Final = "projectcalico.org/name == 'kube-system'"
_LONGEST_WORD: Final = 50


def policies(needs: Sequence[Need], options: Options) -> Allowlist:
    """A NetworkPolicy for each selector of each workload, with `domains` in its rules."""
    return _written(needs, options, sets=False)


def sets(needs: Sequence[Need], options: Options) -> Allowlist:
    """GlobalNetworkSets with `allowedEgressDomains` and `nets`, and the NetworkPolicies that select them."""
    return _written(needs, options, sets=True)


def _written(needs: Sequence[Need], options: Options, *, sets: bool) -> Allowlist:
    ordered, remarks = entries.without_single_labels(entries.in_order(needs), "Calico's `*` is any number of labels")
    remarks += entries.shared(ordered) + entries.open_ended(ordered)
    if any(map(entries.is_named, ordered)):
        remarks.append(_CLOSED_ELSEWHERE if sets else _OPEN_ELSEWHERE)
    texts: list[str] = []
    seen: set[str] = set()
    for subject in subjects(ordered, options, remarks):
        document, own = _document(subject, options, remarks, sets=sets)
        for name, found in own.items():
            if name not in seen:
                seen.add(name)
                texts.append(to_text(found))
        # A file outlives what was said when it was written: what makes it dangerous elsewhere stands in it.
        opens = not sets and any(map(entries.is_named, subject.needs))
        texts.append(to_text(document, head=f"{HEAD}\n# {_OPEN_ELSEWHERE}." if opens else HEAD))
    return Allowlist(text="---\n".join(texts), remarks=entries.final(remarks))


def _document(
    subject: Subject, options: Options, remarks: list[str], *, sets: bool
) -> tuple[Document, dict[str, Document]]:
    """The policy, and by name the sets that it selects."""
    named = [need for need in subject.needs if entries.is_named(need)]
    others = [need for need in subject.needs if not entries.is_named(need)]
    peers: list[tuple[tuple[Place, ...], str, list[Value]]] = []
    for places, group in entries.named_groups(named):
        domains: list[Value] = [
            Noted(_domain(str(key), key), entries.graded(key, grade)) for key, grade in entries.patterns(group).items()
        ]
        peers.append((places, "domains", domains))
    behind = entries.Behind(others)
    for places, addresses in entries.addresses_by_places(others):
        prefixes = options.prefixes(addresses)
        remarks += entries.bounds(prefixes, options.most, f"{subject.workload} on {entries.spelled(places)}")
        peers.append((places, "nets", [Noted(str(prefix.network), behind.note(prefix)) for prefix in prefixes]))
    rules: list[Value] = list(_dns()) if named else []
    found: dict[str, Document] = {}
    for index, (places, field, items) in enumerate(peers):
        peer: Document = {field: items}
        if sets:
            name = f"netpol-{word(subject.workload, _LONGEST_WORD).lower().replace('_', '-')}-{index}"
            found[name] = _set(name, field, items)
            peer = {"namespaceSelector": "global()", "selector": f"{SET_LABEL} == '{name}'"}
        rules += _allow(peer, places)
    return {
        "apiVersion": _API,
        "kind": "NetworkPolicy",
        "metadata": {"name": subject.name, "namespace": subject.workload.namespace},
        "spec": {"selector": subject_selector(subject.selector), "types": ["Egress"], "egress": rules},
    }, found


def _set(name: str, field: str, items: list[Value]) -> Document:
    return {
        "apiVersion": _API,
        "kind": "GlobalNetworkSet",
        "metadata": {"name": name, "labels": {SET_LABEL: name}},
        "spec": {"allowedEgressDomains" if field == "domains" else field: items},
    }


def _allow(peer: Document, places: Iterable[Place]) -> Iterator[Document]:
    ports: defaultdict[int, list[Value]] = defaultdict(list)
    for protocol, port in places:
        ports[protocol].append(port)
    for protocol, numbers in ports.items():
        destination = {**peer, "ports": numbers}
        yield {"action": "Allow", "protocol": protocol_name(protocol), "destination": destination}


def _dns() -> Iterator[Document]:
    for protocol in ("UDP", "TCP"):
        servers: Document = {"namespaceSelector": _DNS_NAMESPACE, "selector": _DNS_SELECTOR, "ports": [53]}
        yield {"action": "Allow", "protocol": protocol, "destination": servers}


def _domain(text: str, key: object) -> str:
    return f"*.{key.parent}" if isinstance(key, Wildcard) else text
