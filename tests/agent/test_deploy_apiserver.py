"""What `netpol deploy` prints and a real API server: it takes all of it, and gives the pods no more than they need."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from netpol.agent.deploy_agent import EXCEPTIONS
from netpol.cluster.kinds import CONFIGS, KINDS, POLICY_KINDS, config_path
from netpol.cluster.live import LiveReading, read_live_documents
from tests.agent.manifests import WHERE, Manifest, below, complaints, deployed, one, path_of, pod_of, printed, read
from tests.cluster.control_plane import MERGE
from tests.oracles.modules import module
from tests.oracles.oracle import build

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.control_plane import Cluster

LEVEL = "pod-security.kubernetes.io/enforce"


@dataclass
class Kubectl:
    program: str
    cluster: Cluster

    def __call__(self, *arguments: str | Path, stdin: str = "") -> str:
        """Whatever the server warns of is an error."""
        kubeconfig = self.cluster.kubeconfig("admin")
        done = subprocess.run(
            [self.program, "--kubeconfig", kubeconfig, "--warnings-as-errors", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(name="kubectl", scope="module")
def _kubectl(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The machine's own, or else one that is built."""
    program = shutil.which("kubectl") or str(build("kubectl", tmp_path_factory.mktemp("kubectl")))
    control_plane.wait_for("/api/v1/namespaces/kube-system")
    return Kubectl(program, control_plane)


def by_path(manifests: list[Manifest]) -> dict[str, Manifest]:
    found = {path_of(manifest): manifest for manifest in manifests}
    assert len(found) == len(manifests)
    return found


def holds(actual: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there; defaults may have been added."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(holds(actual.get(key), item) for key, item in wanted.items())
    if isinstance(wanted, list):
        return isinstance(actual, list) and len(actual) == len(wanted) and all(map(holds, actual, wanted))
    return bool(actual == wanted)


@pytest.mark.parametrize("tls", ["secret", "new"])
def test_it_is_applied_kept_as_written_and_deleted(kubectl: Kubectl, tls: str) -> None:
    text = printed(*WHERE, "--tls", tls, "-n", f"with-{tls}")
    manifests = read(text)
    kubectl("apply", "-f", "-", stdin=text.split("---\n")[0])  # a dry run needs the namespace that it writes into
    assert kubectl("apply", "--dry-run=server", "-f", "-", stdin=text).count("(server dry run)") == len(manifests)
    kubectl("apply", "--server-side", "-f", "-", stdin=text)
    for manifest in manifests:
        kept = kubectl.cluster.call(path_of(manifest), method="GET")
        assert holds(kept, {key: value for key, value in manifest.items() if key != "apiVersion"}), path_of(manifest)
    kubectl("apply", "--server-side", "-f", "-", stdin=text)  # again, as for an update
    kubectl("delete", "--wait=false", "-f", "-", stdin=text)
    for manifest in manifests:
        try:
            left = kubectl.cluster.call(path_of(manifest), method="GET")
        except urllib.error.HTTPError as error:
            assert error.code == 404  # noqa: PT017
        else:  # what waits for a controller that is not there
            assert left["metadata"]["deletionTimestamp"]


def test_the_kustomization_is_the_same(kubectl: Kubectl, tmp_path: Path) -> None:
    arguments = (*WHERE, "-n", "customised")
    text = printed(*arguments)
    assert printed(*arguments, "-d", str(tmp_path / "deploy")) == ""
    rendered = read(kubectl("kustomize", tmp_path / "deploy"))
    assert by_path(rendered) == by_path(read(text))
    files = below(tmp_path / "deploy")
    assert sorted(files["kustomization.yaml"][0]["resources"]) == sorted(set(files) - {"kustomization.yaml"})
    kubectl("create", "namespace", "customised")
    assert kubectl("apply", "--dry-run=server", "-k", tmp_path / "deploy").count("(server dry run)") == len(rendered)


@pytest.fixture(name="levels", scope="module")
def _levels(control_plane: Cluster) -> Cluster:
    for level in ("baseline", "restricted"):
        control_plane.call("/api/v1/namespaces", {"metadata": {"name": level, "labels": {LEVEL: level}}})
    priority = one(deployed(), "PriorityClass")
    control_plane.call(path_of(priority).rpartition("/")[0], priority)
    return control_plane


def violations(cluster: Cluster, level: str, pod: Manifest) -> dict[str, str]:
    """What the API server's admission has against a pod: its headings and what it adds to each."""
    try:
        cluster.call(f"/api/v1/namespaces/{level}/pods?dryRun=All", pod)
    except urllib.error.HTTPError as error:
        message = json.loads(error.read())["message"]
        assert error.code == 403, message  # noqa: PT017
        listed = message.split('latest": ', 1)[1]
        found = re.findall(r"([^(,][^(]*?) \(((?:[^()]|\([^()]*\))*)\)(?:, |$)", listed)
        assert ", ".join(f"{name} ({detail})" for name, detail in found) == listed
        return dict(found)
    return {}


def test_the_hub_is_within_the_restricted_level(levels: Cluster) -> None:
    hub = pod_of(one(deployed(), "Deployment"))
    assert violations(levels, "restricted", hub) == {}
    loose = json.loads(json.dumps(hub))
    del loose["spec"]["containers"][0]["securityContext"]["capabilities"]
    assert list(violations(levels, "restricted", loose)) == ["unrestricted capabilities"]


def test_the_agent_needs_the_exceptions_that_it_names_and_no_more(levels: Cluster) -> None:
    agent = pod_of(one(deployed(), "DaemonSet"))
    restricted = violations(levels, "restricted", agent)
    # At the restricted level the volume is told under that level's own heading.
    assert restricted.pop("restricted volume types").endswith('uses restricted volume type "hostPath"')
    baseline = violations(levels, "baseline", agent)
    assert baseline == {
        "host namespaces": "hostNetwork=true",
        "hostPath volumes": 'volume "spool"',
        "non-default capabilities": 'container "agent" must not include "NET_RAW" in securityContext.capabilities.add',
    }
    assert set(restricted) | {"hostPath volumes"} == set(EXCEPTIONS)
    assert '"NET_RAW"' in restricted["unrestricted capabilities"]


@pytest.fixture(name="applied", scope="module")
def _applied(control_plane: Cluster) -> Cluster:
    """What says who may what, of the manifests, applied."""
    control_plane.call("/api/v1/namespaces", {"metadata": {"name": "netpol"}})
    control_plane.wait_for("/api/v1/namespaces/kube-system")
    kinds = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    for manifest in deployed():
        if manifest["kind"] in kinds:
            control_plane.call(path_of(manifest).rpartition("/")[0], manifest)
    control_plane.call("/api/v1/namespaces/netpol/serviceaccounts", {"metadata": {"name": "nobody"}})
    return control_plane


def token(cluster: Cluster, account: str, *audiences: str) -> str:
    path = f"/api/v1/namespaces/netpol/serviceaccounts/{account}/token"
    made = cluster.call(path, {"spec": {"audiences": list(audiences)} if audiences else {}})
    return str(made["status"]["token"])


def ask(cluster: Cluster, bearer: str, path: str, body: Any = None, method: str = "") -> tuple[int, Any]:
    """Status and answer of a request as somebody else than the administrator."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(cluster.url + path, data, method=method or None)  # noqa: S310  # 127.0.0.1
    request.add_header("Authorization", f"Bearer {bearer}")
    request.add_header("Content-Type", "application/json")
    context = ssl.create_default_context(cafile=cluster.authority)
    try:
        with urllib.request.urlopen(request, timeout=100, context=context) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_hub_may_list_and_watch_all_that_it_looks_at(applied: Cluster, tmp_path: Path) -> None:
    hub = token(applied, "netpol-hub")
    config = json.loads(applied.kubeconfig("admin").read_text())
    config["users"][0]["user"]["token"] = hub
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    reading = LiveReading()
    found = list(read_live_documents(kubeconfig=tmp_path / "kubeconfig", reading=reading, policies=True))
    assert (reading.warnings, reading.missed, reading.scope) == ([], [], "*")
    assert any(document.data["kind"] == "Namespace" for document in found)
    kinds = (*KINDS, *POLICY_KINDS)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda kind: ask(applied, hub, f"{kind.path()}?watch=1&timeoutSeconds=1")[0], kinds))
    for kind, status in zip(kinds, answers, strict=True):
        # What nobody has defined here is not there; it is not forbidden.
        assert status == (200 if kind.expected or kind.group == "networking.k8s.io" else 404), kind.resource
    for name in CONFIGS:
        assert ask(applied, hub, config_path(name))[0] == 404  # not 403: it is not there


def test_the_hub_can_tell_agents_from_others(applied: Cluster) -> None:
    hub = token(applied, "netpol-hub")
    path = "/apis/authentication.k8s.io/v1/tokenreviews"

    def reviewed(text: str) -> Any:
        body = {"spec": {"token": text, "audiences": ["netpol-hub"]}}
        status, answer = ask(
            applied, hub, path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", **body}
        )
        assert status == 201
        return json.loads(answer)["status"]

    status = reviewed(token(applied, "netpol-agent", "netpol-hub"))
    assert (status["authenticated"], status["user"]["username"]) == (True, "system:serviceaccount:netpol:netpol-agent")
    assert not reviewed(token(applied, "netpol-agent")).get("authenticated")  # made out to the API server
    assert not reviewed("nonsense").get("authenticated")


def rules(cluster: Cluster, account: str, namespace: str) -> set[tuple[str, str, str, str]]:
    """Everything that an account may, by the API server's own account: verb, group, resource, name."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    _, answer = ask(cluster, token(cluster, account), path, {**body, "spec": {"namespace": namespace}})
    status = json.loads(answer)["status"]
    assert not status["incomplete"]
    return {
        (verb, group, resource, name)
        for rule in status["resourceRules"]
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", [""])
        for name in rule.get("resourceNames", [""])
    }


def test_nobody_may_anything_else(applied: Cluster) -> None:
    lists = {(verb, kind.group, kind.resource, "") for kind in (*KINDS, *POLICY_KINDS) for verb in ("list", "watch")}
    reviews = {("create", "authentication.k8s.io", "tokenreviews", "")}
    configs = {("get", "", "configmaps", name) for name in CONFIGS}
    for namespace, more in (("netpol", set()), ("default", set()), ("kube-system", configs)):
        everybody = rules(applied, "nobody", namespace)
        assert rules(applied, "netpol-hub", namespace) - everybody == lists | reviews | more
        assert rules(applied, "netpol-agent", namespace) == everybody
        assert rules(applied, "netpol-reader", namespace) == everybody


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/secrets", None),
        ("/api/v1/namespaces/netpol/secrets/netpol-hub-tls", None),
        ("/api/v1/configmaps", None),
        ("/api/v1/namespaces/kube-system/configmaps", None),
        ("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication", None),
        ("/api/v1/namespaces/default/configmaps/kube-proxy", None),
        ("/api/v1/namespaces/default/pods/p", None),
        ("/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}}),
        ("/api/v1/namespaces/default/pods/p/exec?command=id", {}),
        ("/api/v1/namespaces/default/pods/p/log", None),
        ("/api/v1/nodes/n/proxy/pods", None),
        ("/api/v1/namespaces/netpol/serviceaccounts/netpol-agent/token", {"spec": {}}),
        ("/apis/apps/v1/namespaces/netpol/daemonsets", {"metadata": {"name": "d"}}),
        ("/apis/networking.k8s.io/v1/namespaces/netpol/networkpolicies", {"metadata": {"name": "n"}}),
        ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {"metadata": {"name": "b"}}),
    ],
)
def test_requests_that_are_refused(applied: Cluster, path: str, body: Any) -> None:
    for account in ("netpol-hub", "netpol-agent"):
        assert ask(applied, token(applied, account), path, body)[0] == 403


def test_the_live_cluster_tells_where_nodes_and_api_server_are(control_plane: Cluster) -> None:
    cluster, slices = control_plane, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    configs = "/api/v1/namespaces/kube-system/configmaps"
    cluster.call("/api/v1/nodes", {"metadata": {"name": "w1"}, "spec": {"podCIDR": "10.244.1.0/24"}})
    addresses = {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.20"}]}}
    cluster.call("/api/v1/nodes/w1/status", addresses, method="PATCH", kind=MERGE)
    metadata = {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    ports = [{"name": "https", "port": 6443, "protocol": "TCP"}]
    endpoints = [{"addresses": ["192.0.2.10"], "conditions": {"ready": True}}]
    body = {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}
    cluster.call(slices, body)
    here = ("--kubeconfig", str(cluster.kubeconfig("admin")))
    try:
        spec = one(read(printed(*here)), "NetworkPolicy")["spec"]
        (ingress,), (egress,) = spec["ingress"], spec["egress"]
        blocks = [peer["ipBlock"]["cidr"] for peer in ingress["from"]]
        assert blocks == ["10.244.1.0/32", "10.244.1.1/32", "192.0.2.10/32", "192.0.2.20/32"]
        assert egress["to"] == [{"ipBlock": {"cidr": "192.0.2.10/32"}}]
        assert egress["ports"] == [{"protocol": "TCP", "port": 6443}]
        assert "Cilium" not in complaints(*here)
        cluster.call(configs, {"metadata": {"name": "cilium-config"}})
        assert "--dialect cilium" in complaints(*here)
        assert "--dialect cilium" not in complaints(*here, "--dialect", "cilium")
    finally:
        for path in (
            "/api/v1/nodes/w1",
            f"{slices}/kubernetes",
            "/api/v1/namespaces/kube-system/configmaps/cilium-config",
        ):
            with suppress(urllib.error.HTTPError):
                cluster.call(path, method="DELETE")


def test_cert_manager_takes_its_objects(kubectl: Kubectl, tmp_path: Path) -> None:
    definitions = module("github.com/cert-manager/cert-manager@v1.18.2", tmp_path) / "deploy" / "crds"
    for name in ("issuers", "certificates"):
        (path,) = [path for path in definitions.iterdir() if path.stem.split("_")[-1].removeprefix("crd-") == name]
        definition = yaml.safe_load(path.read_text("utf-8"))
        del definition["metadata"]["labels"]  # a chart fills them in
        kubectl("create", "-f", "-", stdin=json.dumps(definition))
        kubectl.cluster.wait_for(f"/apis/cert-manager.io/v1/{name}")
    text = printed(*WHERE, "--tls", "cert-manager", "-n", "managed")
    kubectl("create", "namespace", "managed")
    answer = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert answer.count("cert-manager.io/") == 5
