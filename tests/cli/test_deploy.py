"""`netpol deploy` as its users see it; what a cluster says of the manifests is in tests/agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from netpol.cli.observe import STDIN
from tests.agent.manifests import WHERE, one, read

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

CLUSTER = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "w1"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.20"}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["192.0.2.10"]}],
        },
    ],
}


def test_it_is_the_same_in_every_run_and_holds_no_key(netpol: Netpol) -> None:
    first, second = netpol("deploy", *WHERE), netpol("deploy", *WHERE)
    assert (first.code, first.out) == (0, second.out)
    assert "kind: Secret" not in first.out
    assert "PRIVATE KEY" not in first.out
    # Who reads the account knows what the pods wait for.
    assert "netpol-hub-tls" in first.err
    assert "--image" in first.err


def test_both_generations_of_yaml_read_the_same(netpol: Netpol) -> None:
    text = netpol("deploy", *WHERE, "--tls", "cert-manager", "--interfaces", "eth*").out
    assert list(yaml.safe_load_all(text)) == read(text)


def test_what_is_asked_for_is_said(netpol: Netpol) -> None:
    answer = netpol(
        *("deploy", *WHERE, "-n", "watch", "--image", "registry.example.com/netpol@sha256:" + "a" * 64),
        *("--duration", "7d", "--interfaces", "eth0", "--interfaces", "cali*", "--spool", "64Mi"),
        *("--storage", "5Gi", "--storage-class", "fast"),
    )
    assert "--image" not in answer.err
    manifests = read(answer.out)
    for manifest in manifests:
        place = manifest["metadata"].get("namespace")
        assert place in {"watch", "kube-system", None}
        assert place or manifest["metadata"]["name"].endswith("watch")
    agent, hub = (one(manifests, kind)["spec"]["template"]["spec"] for kind in ("DaemonSet", "Deployment"))
    for pod in (agent, hub):
        assert [container["image"] for container in pod["containers"]] == [
            "registry.example.com/netpol@sha256:" + "a" * 64
        ]
    arguments = agent["containers"][0]["args"]
    assert [word for word in arguments if "7d" in word or "eth0" in word or "cali*" in word or "64Mi" in word]
    claim = one(manifests, "PersistentVolumeClaim")["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "5Gi")
    assert not any(
        "duration" in word
        for word in read(netpol("deploy", *WHERE, "--duration", "0").out)[-1]["spec"]["template"]["spec"]["containers"][
            0
        ]["args"]
    )


def test_another_run_keeps_another_folder_on_the_nodes(netpol: Netpol) -> None:
    """The agent keeps there when it first started, and would not record again once its time is over."""

    def spool(*words: str) -> str:
        volumes = one(read(netpol("deploy", *WHERE, *words).out), "DaemonSet")["spec"]["template"]["spec"]["volumes"]
        (found,) = [volume["hostPath"]["path"] for volume in volumes if "hostPath" in volume]
        return str(found)

    assert len({spool(), spool("--run", "two"), spool("--run", "three"), spool("-n", "other")}) == 4


def test_a_cluster_tells_where_nodes_and_api_server_are(netpol: Netpol, tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(CLUSTER))
    spec = one(read(netpol("deploy", "--cluster", path).out), "NetworkPolicy")["spec"]
    blocks = [peer["ipBlock"]["cidr"] for rule in spec["ingress"] for peer in rule["from"]]
    assert blocks == ["192.0.2.10/32", "192.0.2.20/32"]
    assert [peer["ipBlock"]["cidr"] for rule in spec["egress"] for peer in rule["to"]] == ["192.0.2.10/32"]
    stated = netpol("deploy", "--cluster", path, "--nodes", "192.0.2.0/24", "--nodes", "2001:db8::/64")
    spec = one(read(stated.out), "NetworkPolicy")["spec"]
    blocks = [peer["ipBlock"]["cidr"] for rule in spec["ingress"] for peer in rule["from"]]
    assert blocks == ["192.0.2.0/24", "2001:db8::/64"]


def test_for_cilium_nodes_are_no_addresses(netpol: Netpol) -> None:
    spec = one(read(netpol("deploy", *WHERE, "--dialect", "cilium").out), "CiliumNetworkPolicy")["spec"]
    (ingress,) = spec["ingress"]
    assert ingress["fromEntities"] == ["host", "kube-apiserver", "remote-node"]
    assert ingress["toPorts"] == [{"ports": [{"port": "8443", "protocol": "TCP"}]}]
    (egress,) = spec["egress"]
    assert egress == {"toEntities": ["kube-apiserver"], "toPorts": [{"ports": [{"port": "6443", "protocol": "TCP"}]}]}


def test_no_policies_only_where_none_are_asked_for(
    netpol: Netpol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = netpol("deploy", "--cluster", "none")
    assert answer.code == 0
    assert "NetworkPolicy" not in answer.out
    assert "no policy" in answer.err
    assert netpol("deploy", "--cluster", "none", *WHERE).code == 2
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    answer = netpol("deploy")
    assert (answer.code, answer.out) == (3, "")
    assert "--nodes" in answer.err
    empty = tmp_path / "cluster.json"
    empty.write_text(json.dumps({**CLUSTER, "items": CLUSTER["items"][:1]}))
    answer = netpol("deploy", "--cluster", empty)
    assert (answer.code, answer.out) == (2, "")
    assert "API server" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ["-n", "Not_a_name"],
        ["-n", "kube-system"],
        ["--image", "a b"],
        ["--image", "x\nprivileged: true"],
        ["--duration", "1y"],
        ["--duration", "168"],
        ["--retention", "0d"],
        ["--run", "../x"],
        ["--interfaces", "-x"],
        ["--interfaces", "eth0 "],
        ["--spool", "1GB"],
        ["--storage", "0Gi"],
        ["--storage-class", "A"],
        ["--nodes", "10.0.0.1/8"],
        ["--api-server", "10.0.0.1"],
        ["--api-server", "10.0.0.1:0"],
        ["--api-server", "[10.0.0.1]:443"],
        ["--api-server", "10.0.0.1/33:443"],
    ],
)
def test_what_cannot_stand_in_a_manifest_is_refused(netpol: Netpol, words: list[str]) -> None:
    answer = netpol("deploy", *WHERE, *words)
    assert (answer.code, answer.out) == (2, "")
    assert words[0] in answer.err or "--namespace" in answer.err


def test_a_key_goes_neither_into_a_folder_nor_onto_a_screen(
    netpol: Netpol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = netpol("deploy", *WHERE, "--tls", "new", "-d", tmp_path / "folder")
    assert (answer.code, answer.out) == (2, "")
    assert not (tmp_path / "folder").exists()
    answer = netpol("deploy", *WHERE, "--tls", "new")
    assert answer.code == 0
    assert "kind: Secret" in answer.out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    answer = netpol("deploy", *WHERE, "--tls", "new")
    assert (answer.code, answer.out) == (2, "")


def test_a_folder_is_written_whole_and_cleaned_of_what_is_no_part_of_it(netpol: Netpol, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    assert netpol("deploy", *WHERE, "--tls", "cert-manager", "-d", folder).code == 0
    (folder / "patch.yaml").write_text("mine\n")
    assert "certificate.yaml" in {path.name for path in folder.iterdir()}
    answer = netpol("deploy", *WHERE, "-d", folder)
    assert answer.code == 0
    assert "certificate.yaml: deleted" in answer.err
    names = {path.name for path in folder.iterdir()}
    assert "certificate.yaml" not in names
    assert "patch.yaml" in names
    parts = [read((folder / name).read_text()) for name in sorted(names - {"kustomization.yaml", "patch.yaml"})]
    printed = read(netpol("deploy", *WHERE).out)
    assert sorted(map(str, (each for part in parts for each in part))) == sorted(map(str, printed))
    (folder / "hub.yaml").write_text("mine\n")
    answer = netpol("deploy", *WHERE, "-d", folder)
    assert answer.code == 2
    assert (folder / "hub.yaml").read_text() == "mine\n"


def test_standard_input_serves_as_the_cluster(netpol: Netpol, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(CLUSTER))
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert "192.0.2.20/32" in netpol("deploy", "--cluster", STDIN).out
