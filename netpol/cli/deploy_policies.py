"""The policies for netpol's own pods: where their peers are, and the text in the enforcer's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.agent.deploy_network import OwnPolicies, own_policies
from netpol.agent.deploy_surroundings import Surroundings
from netpol.cli.observe import note, paths_of, warn
from netpol.dialects.kubernetes import to_yaml
from netpol.errors import ClusterError, InputError, UsageError
from netpol.model.cidr import Network, parse_cidr
from netpol.model.ports import FIRST_PORT, LAST_PORT
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from netpol.agent.deploy_settings import Settings
    from netpol.cluster.documents import Document
    from netpol.model.inventory import Inventory

NONE: Final = "none"
_NAMESPACE: Final = "default"
"""Where the Service of the API server is: nothing else is looked at, but for what has no namespace."""
_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:]+)\](/[0-9]{1,3})?|([0-9.]+)(/[0-9]{1,2})?):([0-9]{1,5})")
_INSTEAD: Final = "Or state --nodes CIDR and --api-server ADDRESS:PORT, or --cluster none for no policies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What was said of where it is to run.

    Attributes:
        cilium: Cilium enforces.
    """

    nodes: Sequence[str]
    api_servers: Sequence[str]
    cluster: Sequence[str]
    context: str | None
    kubeconfig: Path | None
    cilium: bool


def policies_for(settings: Settings, place: Place) -> str:
    """The policies as YAML, nothing where none are wanted.

    Raises:
        UsageError: An option is malformed, or it is not known where the hub's peers are.
        InputError: A file cannot be read.
        ClusterError: The cluster cannot be asked.
    """
    nodes, servers = list(map(_block, place.nodes)), list(map(_server, place.api_servers))
    if list(place.cluster) == [NONE]:
        if nodes or servers:
            raise UsageError("--cluster none contradicts --nodes and --api-server", remedy="Give one of them")
        note("no policy for netpol's own pods, as --cluster none asks for")
        return ""
    around = Surroundings() if nodes and servers and not place.cluster else Surroundings.of(_inventory(place))
    around = around.with_blocks(nodes, servers)
    if not around.nodes or not around.api_servers:
        what = "no address of a node" if not around.nodes else "not where the API server listens"
        raise UsageError(f"{what} is known, which the hub's policy is about", remedy=_INSTEAD)
    return _text(own_policies(settings, around), place)


def _text(own: OwnPolicies, place: Place) -> str:
    if not place.cilium:
        return to_yaml(own.exact, nodes=own.nodes)
    from netpol.cli.dialect import Dialect, surroundings, translate

    around = surroundings(own.inventory, own.generated, own.selectors, (), ())
    # That its entities stand for every node is what is meant here: there are no remarks to pass on.
    return translate(Dialect.CILIUM, own.generated.policies, around).to_yaml()


def _inventory(place: Place) -> Inventory:
    if place.cluster:
        from netpol.cluster.manifests import load

        return load(paths_of(place.cluster))
    from netpol.cluster.live import LiveReading, read_live_documents
    from netpol.cluster.manifests import inventory_of

    reading = LiveReading()
    try:
        documents = list(read_live_documents(place.context, place.kubeconfig, _NAMESPACE, reading))
        found = inventory_of(documents)
    except ClusterError as error:
        raise ClusterError(error.what, where=error.where, remedy=f"{error.remedy}. {_INSTEAD}") from None
    except InputError as error:
        raise ClusterError(error.what, where=error.where, remedy="Correct it in the cluster") from None
    for message in reading.warnings:
        warn(message)
    if not place.cilium and any(map(_is_cilium, documents)):
        warn("Cilium enforces here, and its blocks match no nodes: with --dialect cilium the agents reach the hub")
    return found


def _is_cilium(document: Document) -> bool:
    metadata = document.data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return document.data.get("kind") == "ConfigMap" and name == "cilium-config"


def _block(text: str) -> Network:
    try:
        return parse_cidr(text)
    except InputError as error:
        raise UsageError(f"--nodes: {error.what}", remedy=error.remedy) from None


def _server(text: str) -> tuple[Network, int]:
    """`ADDRESS:PORT`, `CIDR:PORT`; IPv6 in brackets, its prefix length behind them."""
    match = _SERVER.fullmatch(text)
    if match is None or not FIRST_PORT <= int(match[5]) <= LAST_PORT:
        raise UsageError(
            f"--api-server cannot be {shown(text)}", remedy="Write it like 192.0.2.10:6443 or [2001:db8::10]:6443"
        )
    address, prefix = match[1] or match[3], match[2] or match[4]
    try:
        return parse_cidr(f"{address}{prefix or _whole(address)}"), int(match[5])
    except InputError as error:
        raise UsageError(f"--api-server: {error.what}", remedy=error.remedy) from None


def _whole(address: str) -> str:
    return "/128" if ":" in address else "/32"
