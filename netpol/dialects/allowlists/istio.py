"""Istio ServiceEntries (networking.istio.io/v1): what a mesh that lets nothing else out has to know of.

They hold where the sidecars' `outboundTrafficPolicy` is REGISTRY_ONLY, and for all workloads of a namespace alike. A
sidecar tells names by the SNI of TLS and the Host of HTTP: names become hosts that are resolved anew on ports 443 and
80, and on 8443 where the connection itself carried the name. On any other port it sees addresses only, so that an entry
with a name there holds for the addresses that were seen; so does what has no certain name, under a host below
`.invalid` (RFC 6761), since each entry needs one. `*.x` stands for any number of labels there: a wildcard of one label
cannot be said, and its names are written instead.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.values import Allowlist
from netpol.dialects.block import Noted, to_text
from netpol.model.flow import TCP
from netpol.model.outside import Grade
from netpol.model.wildcard import Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dialects.allowlists.entries import Place
    from netpol.dialects.allowlists.values import Options
    from netpol.dialects.block import Document, Value
    from netpol.model.host_name import HostName
    from netpol.model.outside import Need

MOST_ITEMS: Final = 256
"""Hosts, and addresses, of one ServiceEntry (`MaxItems` of the CRD)."""

_HEAD: Final = (
    "Enforced where outboundTrafficPolicy.mode is REGISTRY_ONLY, in the mesh or in a Sidecar of the namespace:\n"
    "#   apiVersion: networking.istio.io/v1, kind: Sidecar, spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"
)
_SPOKEN: Final = {80: "HTTP", 443: "TLS", 8443: "TLS"}
"""What is spoken on a port where a sidecar can tell names."""
_USUAL: Final = frozenset({80, 443})
"""Where that is so whatever the evidence for the name."""


def istio(needs: Sequence[Need], options: Options) -> Allowlist:
    """ServiceEntries of each namespace, visible there alone: by name, then by address."""
    ordered, remarks = entries.left_out(entries.in_order(needs), _past_the_sidecar)
    ordered, more = entries.without_single_labels(ordered, "Istio's `*` is any number of labels")
    remarks += more + entries.open_ended(ordered)
    texts: list[str] = []
    for namespace, group in groupby(ordered, key=lambda need: need.workload.namespace):
        own = list(group)
        workloads = sorted({need.workload.name for need in own})
        if len(workloads) > 1:
            remarks.append(f"namespace {namespace}: what one of {entries.some(workloads)} needs, all may use")
        for index, spec in enumerate(_specs(namespace, own, options, remarks), 1):
            texts.append(to_text(_document(namespace, index, spec), head=_HEAD))
    return Allowlist(text="---\n".join(texts), remarks=entries.final(remarks))


def _document(namespace: str, index: int, spec: Document) -> Document:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": f"netpol-outside-{index}", "namespace": namespace},
        "spec": spec,
    }


def _specs(namespace: str, needs: Sequence[Need], options: Options, remarks: list[str]) -> Iterator[Document]:
    by_name = [need for need in needs if _is_told_by_name(need)]
    taken: set[str | None] = {_host(key) for key in entries.patterns(by_name)}
    for places, group in entries.named_groups(by_name):
        hosts = list(entries.patterns(group).items())
        for exact in (True, False):
            some: list[Value] = [
                Noted(_host(key), entries.graded(key, grade))
                for key, grade in hosts
                if isinstance(key, Wildcard) is not exact
            ]
            for part in _parts(some):
                # What a wildcard stands for cannot be resolved: such connections go where the client sent them.
                yield _spec(part, places, "DNS" if exact else "NONE")
    others = [need for need in needs if not _is_told_by_name(need)]
    remarks += entries.shared(others)
    index = 0
    for host, own in _by_host(others):
        behind = entries.Behind(own)
        for places, addresses in entries.addresses_by_places(own):
            prefixes = options.prefixes(addresses)
            remarks += entries.bounds(prefixes, options.most, f"namespace {namespace} on {entries.spelled(places)}")
            blocks: list[Value] = [Noted(str(prefix.network), behind.note(prefix)) for prefix in prefixes]
            for part in _parts(blocks):
                index += 1
                # A host stands in one entry: two would be one service with the ports of both.
                named = host if host not in taken else None
                taken.add(host)
                yield _spec([named or f"outside-{index}.{namespace}.invalid"], places, "NONE", addresses=part)


def _by_host(needs: Sequence[Need]) -> Iterator[tuple[str | None, list[Need]]]:
    """The needs by the host that an entry with their addresses has; None last, for what has no certain name."""
    found: defaultdict[str | None, list[Need]] = defaultdict(list)
    for need in needs:
        key = entries.pattern(need) if entries.is_named(need) else None
        found[None if key is None else _host(key)].append(need)
    for host in sorted(found, key=lambda one: (one is None, one or "")):
        yield host, found[host]


def _host(key: HostName | Wildcard) -> str:
    return f"*.{key.parent}" if isinstance(key, Wildcard) else key


def _is_told_by_name(need: Need) -> bool:
    strong = need.grade is Grade.STRONG and need.port in _SPOKEN
    return entries.is_named(need) and (strong or need.port in _USUAL)


def _spec(
    hosts: Sequence[Value], places: Iterable[Place], resolution: str, addresses: Sequence[Value] = ()
) -> Document:
    ports: list[Value] = []
    for _, port in places:
        spoken = "TCP" if addresses else _SPOKEN[port]
        ports.append({"number": port, "name": f"{spoken.lower()}-{port}", "protocol": spoken})
    block: dict[str, Value] = {"addresses": addresses} if addresses else {}
    return {
        "hosts": hosts,
        **block,
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "ports": ports,
        "resolution": resolution,
    }


def _parts(items: Sequence[Value]) -> Iterator[Sequence[Value]]:
    return (items[first : first + MOST_ITEMS] for first in range(0, len(items), MOST_ITEMS))


def _past_the_sidecar(need: Need) -> str | None:
    return None if need.protocol == TCP else "a sidecar takes TCP only, and lets everything else past it"
