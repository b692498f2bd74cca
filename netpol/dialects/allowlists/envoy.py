"""A bootstrap of Envoy as a transparent egress proxy: one listener, to which what leaves the cluster is redirected.

For each workload, told by its pods' addresses, TLS is let through by its SNI and HTTP by its Host, both to where Envoy
itself resolves the name, so that a forged name gains nothing: on port 443 and 80, and on any port where the connection
itself carried the name. What has no certain name, and every other port, is let through by original destination.
Anything else finds no filter chain, and is closed.
Envoy takes the most specific block of any chain and does not go back to a wider one when another condition fails: so a
chain also lists the blocks of other chains that lie inside its own.
`*.x` stands for any number of labels there: a wildcard of one label cannot be said, and its names are written instead.
"""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.subjects import word
from netpol.dialects.allowlists.values import Allowlist
from netpol.dialects.block import Noted, to_text
from netpol.model.cidr import is_strict_subset
from netpol.model.flow import TCP
from netpol.model.outside import Grade
from netpol.model.wildcard import Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from netpol.dialects.allowlists.values import Options
    from netpol.dialects.block import Document, Value
    from netpol.model.cidr import Network
    from netpol.model.host_name import HostName
    from netpol.model.inventory import WorkloadRef
    from netpol.model.outside import Need
    from netpol.model.prefixes import Prefix

LISTEN: Final = 15001
"""The port to which connections are redirected; Istio's sidecars use the same."""

_LONGEST: Final = 100
_HTTP, _TLS = 80, 443
_TYPES: Final = "type.googleapis.com/envoy.extensions"
_RESERVED: Final = IPv4Address("240.0.0.1")
"""The first of addresses that nobody has (RFC 1112, 4)."""
_EVERYWHERE: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_CACHE: Final[Document] = {"name": "outside", "dns_lookup_family": "V4_PREFERRED"}


def envoy(needs: Sequence[Need], options: Options) -> Allowlist:
    """One static bootstrap for all workloads."""
    ordered, remarks = entries.left_out(entries.in_order(needs), _not_tcp)
    ordered, more = entries.without_single_labels(ordered, "Envoy's `*` is any number of labels")
    remarks += more + entries.open_ended(ordered)
    blocks: defaultdict[int, set[Network]] = defaultdict(set)
    subjects = [
        _Subject(workload, own, _sources(workload, number, options, remarks), options, remarks)
        for number, (workload, own) in enumerate(entries.by_workload(ordered))
    ]
    for subject in subjects:
        for port, prefixes in subject.prefixes.items():
            blocks[port].update(prefix.network for prefix in prefixes)
    chains: list[Value] = [chain for subject in subjects for chain in subject.chains(blocks)]
    if not chains:
        return Allowlist(text="", remarks=entries.final(remarks))
    text = to_text({"static_resources": {"listeners": [_listener(chains)], "clusters": _clusters()}})
    return Allowlist(text=text, remarks=entries.final(remarks))


class _Subject:
    """The filter chains of one workload.

    Attributes:
        prefixes: By port what is let through by address.
    """

    def __init__(
        self, workload: WorkloadRef, needs: Sequence[Need], sources: list[Value], options: Options, remarks: list[str]
    ) -> None:
        self._workload = workload
        self._name = word(workload, _LONGEST)
        self._sources = sources
        self._named = [need for need in needs if _is_told_by_name(need)]
        others = [need for need in needs if not _is_told_by_name(need)]
        remarks += entries.shared(others)
        self._behind = entries.Behind(others)
        self.prefixes: dict[int, list[Prefix]] = {}
        for (_, port), own in entries.by_place(others):
            self.prefixes[port] = options.prefixes(address for need in own for address in need.addresses)
            remarks += entries.bounds(self.prefixes[port], options.most, f"{workload} on TCP/{port}")

    def chains(self, blocks: Mapping[int, AbstractSet[Network]]) -> Iterator[Value]:
        """Those by name, then those by address.

        Args:
            blocks: By port the blocks of all chains.
        """
        for (_, port), own in entries.by_place(self._named):
            keys = entries.patterns(own)
            names: list[Value] = [Noted(_name(key), entries.graded(key, grade)) for key, grade in keys.items()]
            mine = [prefix.network for prefix in self.prefixes.get(port, ())]
            others = [one for one in _sorted(blocks.get(port, set())) if one not in mine and not _is_inside(one, mine)]
            if port != _HTTP:
                match: dict[str, Value] = {"transport_protocol": "tls", "server_names": names}
                around = [*others, *mine]
                yield self._chain(
                    f"{self._name}_{port}_tls",
                    port,
                    match | _ranges(around),
                    [*_by_sni(port), _tcp_proxy(f"{self._name}_{port}_tls", "by_name")],
                )
            if port != _TLS:
                # Not where the workload has addresses of its own on the port: there the protocol may be any.
                domains = names if port == _HTTP else [*names, *(f"{_name(key)}:{port}" for key in keys)]
                name = f"{self._name}_{port}_http"
                match = {"transport_protocol": "raw_buffer"}
                yield self._chain(name, port, match | _ranges(others), _by_host(name, domains))
        for port, prefixes in self.prefixes.items():
            noted: dict[Network, str] = {prefix.network: self._behind.note(prefix) for prefix in prefixes}
            inside = {one for one in blocks[port] if _is_inside(one, noted)} - noted.keys()
            ranges: list[Value] = [Noted(_block(one), note) for one, note in noted.items()]
            match = {"prefix_ranges": [*ranges, *map(_block, _sorted(inside))]}
            filters_of = [_tcp_proxy(f"{self._name}_{port}", "original_destination")]
            yield self._chain(f"{self._name}_{port}_addresses", port, match, filters_of)

    def _chain(self, name: str, port: int, match: Document, filters: Sequence[Value]) -> Value:
        match = {"source_prefix_ranges": self._sources, "destination_port": port, **match}
        return Noted({"name": name, "filter_chain_match": match, "filters": filters}, str(self._workload))


def _sources(workload: WorkloadRef, number: int, options: Options, remarks: list[str]) -> list[Value]:
    """Whose connections they are: no range at all would be everyone, and chains of two workloads must differ."""
    known = options.sources.get(workload, ())
    if known:
        return [_range(str(one), one.max_prefixlen) for one in known]
    nobody = str(_RESERVED + number)
    remarks.append(f"{workload}: no address of its pods is known: put it in the place of {nobody}, which is nobody's")
    return [Noted(_range(nobody, 32), "nobody: no address of its pods is known")]


def _listener(chains: list[Value]) -> Document:
    inspectors: list[Value] = [
        _typed("envoy.filters.listener.original_dst", "filters.listener.original_dst.v3.OriginalDst"),
        _typed("envoy.filters.listener.tls_inspector", "filters.listener.tls_inspector.v3.TlsInspector"),
    ]
    address: Document = {"socket_address": {"address": "0.0.0.0", "port_value": LISTEN}}  # noqa: S104 - a listener's
    return {"name": "egress", "address": address, "listener_filters": inspectors, "filter_chains": chains}


def _clusters() -> list[Value]:
    forward = _typed(
        "envoy.clusters.dynamic_forward_proxy",
        "clusters.dynamic_forward_proxy.v3.ClusterConfig",
        {"dns_cache_config": _CACHE},
    )
    return [
        {"name": "by_name", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": forward},
        {"name": "original_destination", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"},
    ]


def _by_sni(port: int) -> list[Value]:
    lookup = _typed(
        "envoy.filters.network.sni_dynamic_forward_proxy",
        "filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
        {"port_value": port, "dns_cache_config": _CACHE},
    )
    return [lookup]


def _by_host(name: str, names: Sequence[Value]) -> list[Value]:
    route: Document = {"match": {"prefix": "/"}, "route": {"cluster": "by_name"}}
    host: Document = {"name": name, "domains": names, "routes": [route]}
    filters: list[Value] = [
        _typed(
            "envoy.filters.http.dynamic_forward_proxy",
            "filters.http.dynamic_forward_proxy.v3.FilterConfig",
            {"dns_cache_config": _CACHE},
        ),
        _typed("envoy.filters.http.router", "filters.http.router.v3.Router"),
    ]
    manager: Document = {
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [host]},
        "http_filters": filters,
    }
    return [
        _typed(
            "envoy.filters.network.http_connection_manager",
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            manager,
        )
    ]


def _tcp_proxy(prefix: str, cluster: str) -> Document:
    return _typed(
        "envoy.filters.network.tcp_proxy",
        "filters.network.tcp_proxy.v3.TcpProxy",
        {"stat_prefix": prefix, "cluster": cluster},
    )


def _typed(name: str, kind: str, config: Document | None = None) -> Document:
    return {"name": name, "typed_config": {"@type": f"{_TYPES}.{kind}", **(config or {})}}


def _is_told_by_name(need: Need) -> bool:
    return entries.is_named(need) and (need.grade is Grade.STRONG or need.port in {_HTTP, _TLS})


def _name(key: HostName | Wildcard) -> str:
    return f"*.{key.parent}" if isinstance(key, Wildcard) else key


def _is_inside(block: Network, others: Iterable[Network]) -> bool:
    return any(is_strict_subset(block, outer) for outer in others)


def _ranges(blocks: Sequence[Network]) -> dict[str, Value]:
    """Everywhere, and in these blocks too, which others have."""
    return {"prefix_ranges": [_block(one) for one in (*_EVERYWHERE, *_sorted(blocks))]} if blocks else {}


def _sorted(blocks: Iterable[Network]) -> list[Network]:
    return sorted(blocks, key=lambda one: (one.version, int(one.network_address), one.prefixlen))


def _block(network: Network) -> Document:
    return _range(str(network.network_address), network.prefixlen)


def _range(address: str, length: int) -> Document:
    return {"address_prefix": address, "prefix_len": length}


def _not_tcp(need: Need) -> str | None:
    return None if need.protocol == TCP else "this proxy forwards TCP only"
