"""`netpol learn` on Online Boutique: pods of a real cluster, traffic made from the list of its known connections."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any

import yaml

from tests.cli.traffic import Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

OUTSIDE = "203.0.113.9"


def edges(boutique: Path) -> list[tuple[str, str, int]]:
    with (boutique / "online-boutique" / "connections.csv").open() as file:
        return [(row["src"], row["dst"], int(row["pod_port"])) for row in csv.DictReader(file)]


def pods(boutique: Path) -> dict[str, dict[str, Any]]:
    items = yaml.load((boutique / "online-boutique-live" / "pods.yaml").read_text(), yaml.CSafeLoader)["items"]
    return {pod["metadata"]["labels"]["app"]: pod for pod in items if pod["metadata"]["namespace"] == "default"}


def admits(
    policies: list[dict[str, Any]], side: str, own: dict[str, str], peer: dict[str, str] | str, port: int
) -> bool:
    """A reading of the few forms that these policies take, by hand: labels and single addresses."""
    way, field = ("Ingress", "from") if side == "ingress" else ("Egress", "to")
    selecting = [
        policy["spec"]
        for policy in policies
        if policy["spec"]["podSelector"]["matchLabels"].items() <= own.items() and way in policy["spec"]["policyTypes"]
    ]
    if not selecting:
        return True
    for rule in (rule for spec in selecting for rule in spec[side]):
        for item, allowed in itertools.product(rule[field], rule["ports"]):
            if isinstance(peer, str):
                meant = item.get("ipBlock") == {"cidr": f"{peer}/32"}
            else:
                meant = "podSelector" in item and item["podSelector"]["matchLabels"].items() <= peer.items()
            if meant and allowed == {"protocol": "TCP", "port": port}:
                return True
    return False


def test_the_policies_admit_exactly_the_known_connections(netpol: Netpol, boutique: Path, tmp_path: Path) -> None:
    known = pods(boutique)
    address = {name: pod["status"]["podIP"] for name, pod in known.items()} | {"(external)": OUTSIDE}
    traffic = Traffic()
    for source, destination, port in edges(boutique):
        for _ in range(2):
            traffic.tcp(address[source], address[destination], port)
    capture = traffic.write(tmp_path / "boutique.pcap")

    answer = netpol("learn", capture, "--cluster", boutique / "online-boutique-live")

    assert answer.code == 0, answer.err
    policies = list(yaml.safe_load_all(answer.out))
    assert sorted(policy["metadata"]["name"] for policy in policies) == sorted(known)
    labels = {name: pod["metadata"]["labels"] for name, pod in known.items()}
    wanted = set(edges(boutique))
    ports = {port for _, _, port in wanted} | {53, 80, 443}
    allowed = {
        (source, destination, port)
        for source, destination, port in itertools.product([*known, "(external)"], known, ports)
        if source != destination
        and admits(policies, "ingress", labels[destination], labels.get(source, OUTSIDE), port)
        and (source == "(external)" or admits(policies, "egress", labels[source], labels[destination], port))
    }
    assert allowed == wanted
    assert not any(
        admits(policies, "egress", labels[source], OUTSIDE, port) for source, port in itertools.product(known, ports)
    )
