"""Without --cluster the live cluster is asked, and its policies are laid beside the learned ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.traffic import Traffic
from tests.cluster.test_live import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Netpol

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"


def pod(name: str, address: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": name}]},
        "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"},
    }


def policy(name: str, labels: dict[str, str], port: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": labels},
        "spec": {
            "podSelector": {"matchLabels": {"app": "api"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": port}]}],
        },
    }


OBJECTS = {
    "/api/v1/pods": ("PodList", [pod("web", "10.0.0.1"), pod("api", "10.0.0.2")]),
    POLICIES: (
        "NetworkPolicyList",
        [policy("by-hand", {}, 80), policy("api", {"app.kubernetes.io/managed-by": "netpol"}, 81)],
    ),
}


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.answers = lambda path, _: (200, listed(path))
    yield server
    server.close()


def listed(path: str) -> bytes:
    kind, items = OBJECTS.get(path, ("List", []))
    return json.dumps({"kind": kind, "apiVersion": "v1", "metadata": {}, "items": items}).encode()


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    traffic = Traffic()
    traffic.tcp("10.0.0.1", "10.0.0.2", 80)
    return traffic.write(tmp_path / "one.pcap")


def test_the_live_policies_are_the_existing_ones(netpol: Netpol, server: Server, capture: Path) -> None:
    answer = netpol("learn", capture, "--kubeconfig", server.kubeconfig)
    assert answer.code == 0, answer.err
    found = {document["metadata"]["name"]: document for document in yaml.safe_load_all(answer.out)}
    assert set(found) == {"web", "api"}
    assert [rule["ports"] for rule in found["api"]["spec"]["ingress"]] == [
        [{"protocol": "TCP", "port": 80}],
        [{"protocol": "TCP", "port": 81}],
    ]
    assert "they can be deleted together:\n  shop/by-hand" in answer.err
    # Each kind is listed once.
    paths = [path for path, _, _ in server.asked]
    assert len(paths) == len(set(paths))
    assert netpol("learn", capture, "--kubeconfig", server.kubeconfig, "--existing", "live").out == answer.out


def test_none_leaves_them_out_of_account(netpol: Netpol, server: Server, capture: Path) -> None:
    answer = netpol("learn", capture, "--kubeconfig", server.kubeconfig, "--existing", "none")
    assert answer.code == 0
    assert "81" not in answer.out
    assert "existing" not in answer.err
    assert POLICIES not in {path for path, _, _ in server.asked}


def test_who_may_not_list_policies_can_learn_but_not_ask_for_them(
    netpol: Netpol, server: Server, capture: Path
) -> None:
    server.answers = lambda path, _: (403, b"") if path == POLICIES else (200, listed(path))
    answer = netpol("learn", capture, "--kubeconfig", server.kubeconfig)
    assert answer.code == 0
    assert "may not list networkpolicies" in answer.err
    assert "existing  " not in answer.err
    answer = netpol("learn", capture, "--kubeconfig", server.kubeconfig, "--existing", "live")
    assert (answer.code, answer.out) == (3, "")
    assert "Grant the verb list on networkpolicies" in answer.err


def test_a_policy_that_cannot_be_read_names_the_way_around_it(netpol: Netpol, server: Server, capture: Path) -> None:
    broken = json.dumps(
        {"kind": "NetworkPolicyList", "apiVersion": "v1", "metadata": {}, "items": [policy("bad", {}, 0)]}
    ).encode()
    server.answers = lambda path, _: (200, broken if path == POLICIES else listed(path))
    answer = netpol("learn", capture, "--kubeconfig", server.kubeconfig)
    assert (answer.code, answer.out) == (2, "")
    assert "spec.ingress[0].ports[0].port" in answer.err
    assert "--existing none" in answer.err
