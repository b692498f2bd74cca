"""A bootstrap of Envoy as a transparent egress proxy: one listener, to which what leaves the cluster is redirected.

For each workload, told by its pods' addresses, TLS on port 443 is let through by its SNI and HTTP on port 80 by its
Host, both to where Envoy itself resolves the name, so that a forged name gains nothing. What has no certain name, and
every other port, is let through by original destination. Anything else finds no filter chain, and is closed.
`*.x` stands for any number of labels there: a wildcard of one label cannot be said, and its names are written instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.subjects import word
from netpol.dialects.allowlists.values import Allowlist
from netpol.dialects.block import Noted, to_text
from netpol.model.flow import TCP
from netpol.model.wildcard import Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.dialects.allowlists.values import Options
    from netpol.dialects.block import Document, Value
    from netpol.model.inventory import WorkloadRef
    from netpol.model.outside import Need
    from netpol.model.prefixes import Prefix

LISTEN: Final = 15001
"""The port to which connections are redirected; Istio's sidecars use the same."""

_LONGEST: Final = 100
_HTTP, _TLS = 80, 443
_TYPES: Final = "type.googleapis.com/envoy.extensions"
_CACHE: Final[Document] = {"name": "outside", "dns_lookup_family": "V4_PREFERRED"}


def envoy(needs: Sequence[Need], options: Options) -> Allowlist:
    """One static bootstrap for all workloads."""
    ordered, remarks = entries.left_out(entries.in_order(needs), _not_tcp)
    ordered, more = entries.without_single_labels(ordered, "Envoy's `*` is any number of labels")
    remarks += more + entries.open_ended(ordered)
    chains: list[Value] = []
    for workload, own in entries.by_workload(ordered):
        if options.sources.get(workload):
            chains += _chains(workload, own, options, remarks)
        else:
            remarks.append(f"{workload} is left out: no address of its pods is known")
    if not chains:
        return Allowlist(text="", remarks=entries.final(remarks))
    text = to_text({"static_resources": {"listeners": [_listener(chains)], "clusters": _clusters()}})
    return Allowlist(text=text, remarks=entries.final(remarks))


def _chains(workload: WorkloadRef, needs: Sequence[Need], options: Options, remarks: list[str]) -> Iterator[Value]:
    name = word(workload, _LONGEST)
    sources: list[Value] = [_range(str(source), source.max_prefixlen) for source in options.sources[workload]]
    named = [need for need in needs if entries.is_named(need)]
    for port in (_HTTP, _TLS):
        names: list[Value] = [
            Noted(f"*.{key.parent}" if isinstance(key, Wildcard) else key, entries.graded(key, grade))
            for key, grade in entries.patterns(need for need in named if need.port == port).items()
        ]
        if names:
            match: dict[str, Value] = {"source_prefix_ranges": sources, "destination_port": port}
            if port == _TLS:
                match |= {"transport_protocol": "tls", "server_names": names}
            filters = _by_sni(name) if port == _TLS else _by_host(name, names)
            yield Noted({"name": f"{name}_{port}", "filter_chain_match": match, "filters": filters}, str(workload))
    others = [need for need in needs if not (entries.is_named(need) and need.port in {_HTTP, _TLS})]
    remarks += entries.shared(others)
    behind = entries.Behind(others)
    for port in sorted({need.port for need in others}):
        prefixes = options.prefixes(address for need in others if need.port == port for address in need.addresses)
        remarks += entries.bounds(prefixes, options.most, f"{workload} on TCP/{port}")
        match = {
            "source_prefix_ranges": sources,
            "destination_port": port,
            "prefix_ranges": [Noted(_block(prefix), behind.note(prefix)) for prefix in prefixes],
        }
        filters = [_tcp_proxy(f"{name}_{port}", "original_destination")]
        yield Noted(
            {"name": f"{name}_{port}_addresses", "filter_chain_match": match, "filters": filters}, str(workload)
        )


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


def _by_sni(name: str) -> list[Value]:
    lookup = _typed(
        "envoy.filters.network.sni_dynamic_forward_proxy",
        "filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
        {"port_value": _TLS, "dns_cache_config": _CACHE},
    )
    return [lookup, _tcp_proxy(f"{name}_{_TLS}", "by_name")]


def _by_host(name: str, names: list[Value]) -> list[Value]:
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
        "stat_prefix": f"{name}_{_HTTP}",
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


def _block(prefix: Prefix) -> Document:
    return _range(str(prefix.network.network_address), prefix.network.prefixlen)


def _range(address: str, length: int) -> Document:
    return {"address_prefix": address, "prefix_len": length}


def _not_tcp(need: Need) -> str | None:
    return None if need.protocol == TCP else "this proxy forwards TCP only"
