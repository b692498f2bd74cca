"""`netpol snapshot` as users run it, against a server that answers as an API server does."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cluster.manifests import load
from tests.cluster.test_live import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Answer, Netpol

    Run = Callable[..., Answer]

TIERS = "/apis/policy.networking.k8s.io/"


def named(name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"{namespace}-{name}", "annotations": {"hidden": "s3cret"}}
    return {"metadata": {**metadata, **({"namespace": namespace} if namespace else {})}, **more}


def pod(name: str, namespace: str, address: str) -> dict[str, Any]:
    container = {"name": name, "env": [{"name": "PASSWORD", "value": "s3cret"}]}
    return named(name, namespace, spec={"containers": [container]}, status={"podIP": address})


PODS = [pod("web", "shop", "10.0.0.1"), pod("api", "shop", "10.0.0.2"), pod("db", "data", "10.0.0.3")]
POLICIES = [named("web", "shop", spec={"podSelector": {}, "policyTypes": ["Ingress"]})]
CLUSTER = {"namespaces": [named("shop"), named("data")], "nodes": [named("w1")]}
NAMESPACED = {"pods": PODS, "networkpolicies": POLICIES}


class Api(Server):
    """Serves a small cluster; what is forbidden can be chosen."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.forbidden: set[str] = set()
        self.answers = lambda path, _query: self.answer(path)

    def answer(self, path: str) -> tuple[int, bytes]:
        *above, resource = path.strip("/").split("/")
        if resource in self.forbidden:
            return 403, b"{}"
        if path.startswith(TIERS) or "configmaps" in path or resource in {"ippools", "servicecidrs", "ingresses"}:
            return 404, b"{}"
        items = CLUSTER.get(resource, [])
        if resource in NAMESPACED:
            namespace = above[-1] if "namespaces" in above else ""
            items = [one for one in NAMESPACED[resource] if namespace in {"", one["metadata"]["namespace"]}]
        return 200, json.dumps({"kind": "SomeList", "apiVersion": "v1", "metadata": {}, "items": items}).encode()


@pytest.fixture(name="api")
def _api(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)
    yield api
    api.close()


@pytest.fixture
def run(netpol: Netpol, api: Api) -> Run:
    return lambda *words: netpol("snapshot", "--kubeconfig", api.kubeconfig, *words)


def names(text: str) -> list[str]:
    return [item["metadata"]["name"] for item in json.loads(text)["items"]]


def stated(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(text)["metadata"]["annotations"]
    return found


def test_the_whole_cluster_goes_to_standard_output(run: Run) -> None:
    answer = run()
    assert answer.code == 0
    assert names(answer.out) == ["data", "shop", "w1", "db", "api", "web", "web"]
    taken = stated(answer.out)
    assert taken["netpol/namespaces"] == "*"
    assert "s3cret" not in answer.out
    assert answer.err == (
        f"snapshot: the whole cluster at {taken['netpol/taken-at']}: 2 Namespaces, 1 Node, 3 Pods, 1 NetworkPolicy; "
        f"{len(answer.out) / 1024:.1f} KiB\n"
    )
    assert run("-o", "-", "-A").out.split('"items"')[1] == answer.out.split('"items"')[1]


def test_a_file_is_read_back_by_other_commands(run: Run, netpol: Netpol, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    answer = run("-o", path)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith(f"{path}: the whole cluster at ")
    assert [str(one.addresses[0]) for one in load([path]).pods] == ["10.0.0.3", "10.0.0.2", "10.0.0.1"]
    listed = netpol("list", path, "--cluster", path, "-o", "json")
    assert listed.code == 0, listed.err
    assert not [row for row in json.loads(listed.out) if row["destination"].startswith("shop/")]
    assert list(tmp_path.glob(".netpol-*")) == []


def test_some_namespaces_and_what_has_none(run: Run) -> None:
    answer = run("-n", "shop", "-n", "data")
    assert names(answer.out) == names(run().out)
    assert stated(answer.out)["netpol/namespaces"] == "data,shop"
    assert ": namespace data, shop at " in answer.err
    answer = run("-n", "data")
    assert names(answer.out) == ["data", "shop", "w1", "db"]
    assert stated(answer.out)["netpol/namespaces"] == "data"


def test_a_namespace_without_pods_is_said(run: Run) -> None:
    answer = run("-n", "shpo")
    assert answer.code == 0
    assert "netpol: warning: no pods in namespace shpo\n" in answer.err


def test_what_may_not_be_listed_is_said_and_nothing_is_complete(run: Run, api: Api) -> None:
    api.forbidden = {"nodes", "services"}
    for words in ((), ("-n", "shop", "-n", "data")):
        answer = run(*words)
        assert answer.code == 0
        assert answer.err.count("may not list nodes") == 1
        assert "may not list services" in answer.err
        assert stated(answer.out)["netpol/namespaces"] == ""
        assert "snapshot: what may be listed of the cluster at " in answer.err


def test_a_namespace_is_whole_without_what_has_none(run: Run, api: Api) -> None:
    api.forbidden = {"nodes", "namespaces"}
    answer = run("-n", "shop", "-n", "data")
    assert "may not list nodes" in answer.err
    assert stated(answer.out)["netpol/namespaces"] == "data,shop"
    assert stated(run().out)["netpol/namespaces"] == ""


def test_a_cluster_that_cannot_be_asked(run: Run, api: Api, tmp_path: Path) -> None:
    api.forbidden = {"pods"}
    path = tmp_path / "cluster.json"
    answer = run("-o", path)
    assert (answer.code, answer.out) == (3, "")
    assert "may not list pods" in answer.err
    assert not path.exists()


def test_nothing_at_all_is_no_snapshot(run: Run, api: Api) -> None:
    api.forbidden = {"namespaces", "nodes"}
    answer = run("-n", "none")
    assert (answer.code, answer.out) == (3, "")
    assert "there is nothing to write down" in answer.err


@pytest.mark.parametrize("words", [("-n", "../secrets"), ("-n", "a,b"), ("-n", ""), ("-n", "shop", "-A")])
def test_names_that_are_none(run: Run, api: Api, words: tuple[str, ...]) -> None:
    assert run(*words).code == 2
    assert api.asked == []


class TestFile:
    def test_a_new_one_is_for_its_owner(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "cluster.json"
        run("-o", path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_an_older_snapshot_gives_way_and_keeps_its_rights(self, run: Run, tmp_path: Path) -> None:
        path, link = tmp_path / "cluster.json", tmp_path / "link.json"
        link.symlink_to(path)
        run("-o", path)
        path.chmod(0o640)
        answer = run("-o", link, "-n", "data")
        assert answer.code == 0
        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert stated(path.read_text())["netpol/namespaces"] == "data"

    def test_anything_else_stays(self, run: Run, api: Api, tmp_path: Path) -> None:
        path = tmp_path / "kustomization.yaml"
        path.write_text("apiVersion: v1\n")
        answer = run("-o", path)
        assert answer.code == 2
        assert "would be overwritten, and is no snapshot" in answer.err
        assert path.read_text() == "apiVersion: v1\n"
        assert api.asked == []

    def test_an_empty_one_is_filled(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "new"
        path.touch()
        assert run("-o", path).code == 0
        assert len(names(path.read_text())) == 7

    def test_what_is_no_file_is_written_to(self, run: Run, tmp_path: Path) -> None:
        assert run("-o", os.devnull).code == 0
        assert not os.path.isfile(os.devnull)  # noqa: PTH113 - os.devnull is text
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert run("-o", pipe).code == 0
            assert len(names(os.read(reader, 1 << 16).decode())) == 7
        finally:
            os.close(reader)

    @pytest.mark.parametrize("name", [".", "missing/cluster.json", "a\x00b", "", "x" * 300])
    def test_places_where_none_can_be(self, run: Run, api: Api, tmp_path: Path, name: str) -> None:
        answer = run("-o", f"{tmp_path}/{name}" if name else "")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.count("\n") == 1
        assert api.asked == []
