"""A snapshot reads as the cluster that it was taken of, and holds nothing that no reader looks at."""

from __future__ import annotations

import copy
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.cluster.collect import _READERS
from netpol.cluster.documents import Document, documents_in, read_documents
from netpol.cluster.kinds import CONFIGS, KINDS, POLICY_KINDS
from netpol.cluster.manifests import inventory_of, load
from netpol.cluster.snapshot import START, snapshot_objects, snapshot_text
from netpol.cluster.snapshot_fields import KEPT, KEPT_OF_CONFIGS
from netpol.dialects.read import read_policies
from netpol.errors import InputError
from tests.cluster.objects import NOON, SECOND, at, pod, template, thing
from tests.cluster.snapshots import CLUSTERS, TAKEN, Objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.model.inventory import Inventory

MARK: Final = "leak-7f3a"
ROOT = Path(__file__).parents[2]


def taken_of(objects: Iterable[dict[str, Any]], taken: str = TAKEN, scope: str = "*") -> list[Document]:
    """The objects as the live reader hands them on."""
    return [
        Document(("https://k", "/list", f"items[{index}]"), item, ("https://k",), taken, scope)
        for index, item in enumerate(objects)
    ]


def snapshot(documents: Sequence[Document], taken: str = TAKEN, scope: str = "*") -> str:
    return "".join(snapshot_text(snapshot_objects(documents), taken, scope))


def read_back(text: str) -> list[Document]:
    return list(documents_in("snapshot", text.encode(), named=True))


def comparable(inventory: Inventory) -> Inventory:
    """Without the counts of kinds that nothing was read of: a snapshot leaves those out."""
    return replace(inventory, passed_over={})


def read_as(documents: Iterable[Document]) -> tuple[Inventory, Any]:
    """What is made of documents: the cluster, and its policies without annotations."""
    documents = list(documents)
    found = {str(one): replace(one, annotations={}) for one in read_policies(documents).everything}
    return comparable(inventory_of(documents)), found


class TestReadsAsTheCluster:
    @given(CLUSTERS)
    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    def test_random_clusters(self, objects: Objects) -> None:
        documents = taken_of(objects)
        before = copy.deepcopy(objects)
        text = snapshot(documents)
        assert comparable(inventory_of(read_back(text))) == comparable(inventory_of(documents))
        assert objects == before

    @given(CLUSTERS)
    @settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
    def test_the_snapshot_of_a_snapshot_is_itself(self, objects: Objects) -> None:
        text = snapshot(taken_of(objects))
        again = read_back(text)
        assert snapshot(again) == text
        assert {(document.taken, document.scope) for document in again} <= {(TAKEN, "*")}

    @given(CLUSTERS, st.randoms(use_true_random=False))
    @settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
    def test_the_order_of_the_objects_does_not_matter(self, objects: Objects, chance: random.Random) -> None:
        other = list(objects)
        chance.shuffle(other)
        shuffled = [dict(sorted(item.items(), key=lambda _: chance.random())) for item in other]
        assert snapshot(taken_of(shuffled)) == snapshot(taken_of(objects))

    @pytest.mark.parametrize("name", ["cluster.yaml", "existing.yaml"])
    def test_the_sample(self, name: str) -> None:
        self.check(list(read_documents([ROOT / "samples" / "shop" / name])))

    def test_a_real_cluster(self, shared_apps: Path) -> None:
        self.check(list(read_documents([shared_apps / "online-boutique-live"])))

    def check(self, documents: list[Document]) -> None:
        at_once = taken_of(document.data for document in documents)
        found = read_back(snapshot(at_once))
        assert read_as(found) == read_as(at_once)
        assert snapshot(found) == snapshot(at_once)

    def test_every_kind_that_is_asked_for_or_read_is_kept(self) -> None:
        asked = {(kind.kind, kind.version.rpartition("/")[0]) for kind in (*KINDS, *POLICY_KINDS)}
        assert asked | _READERS.keys() <= KEPT.keys() | {("ConfigMap", "")}
        assert {name for _, name in KEPT_OF_CONFIGS} == set(CONFIGS)

    def test_the_readme_names_the_rights_that_it_takes(self) -> None:
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        (text,) = re.findall(r"```yaml\n([^`]*?name: netpol-snapshot[^`]*)```", readme)
        rules = yaml.safe_load(text)["rules"]
        listed = [
            (group, one)
            for rule in rules
            if rule["verbs"] == ["list"]
            for group in rule["apiGroups"]
            for one in rule["resources"]
        ]
        asked = [(kind.version.rpartition("/")[0], kind.resource) for kind in (*KINDS, *POLICY_KINDS)]
        assert sorted(listed) == sorted(asked)
        (config,) = [rule for rule in rules if rule["verbs"] != ["list"]]
        names = {"resources": ["configmaps"], "resourceNames": list(CONFIGS)}
        assert config == {"verbs": ["get"], "apiGroups": [""], **names}

    def test_an_empty_selector_selects_everything(self) -> None:
        spec = {"selector": {}, "template": template({"app": "web"})}
        (item,) = snapshot_objects(taken_of([thing("Deployment", "web", spec=spec)]))
        assert item["spec"]["selector"] == {}

    def test_an_endpoint_port_without_a_number_is_every_port(self) -> None:
        labels = {"metadata": {"labels": {"kubernetes.io/service-name": "web"}}}
        points = [{"addresses": ["10.0.0.1"]}]
        slices = thing("EndpointSlice", "web-1", "discovery.k8s.io/v1", endpoints=points, ports=[{}], **labels)
        documents = taken_of([slices])
        (service,) = inventory_of(read_back(snapshot(documents))).services
        assert service.endpoints[0].ports == ((6, "", 0),)


class TestText:
    def test_it_begins_as_it_says_and_has_an_object_a_line(self) -> None:
        text = snapshot(taken_of([pod("b", "10.0.0.2"), pod("a", "10.0.0.1"), thing("Namespace", "shop", "v1")]))
        head, *lines, end, last = text.split("\n")
        assert head.startswith(START)
        assert (end, last) == ("]}", "")
        kinds = [json.loads(line.rstrip(",")) for line in lines]
        assert [(item["kind"], item["metadata"]["name"]) for item in kinds] == [
            ("Namespace", "shop"),
            ("Pod", "a"),
            ("Pod", "b"),
        ]

    def test_nothing_at_all_is_a_list_too(self) -> None:
        assert json.loads(snapshot([]))["items"] == []

    def test_text_from_outside_is_ascii(self) -> None:
        text = snapshot(taken_of([pod("a", metadata={"labels": {"app": "\x1b[31m\u202e\ud800\n"}})]))
        assert text.isascii()
        assert text.replace("\n", "").isprintable()

    def test_what_does_not_exist_yet_is_left_out(self) -> None:
        items: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}},
            {"apiVersion": "v1", "kind": "Pod"},
            {"kind": "Pod", "metadata": {"name": "a"}},
            {"apiVersion": "v1", "kind": ["Pod"], "metadata": {"name": "a"}},
            thing("ConfigMap", "settings", "v1", data={"a": "b"}),
            thing("Secret", "token", "v1", data={"a": "b"}),
        ]
        assert snapshot_objects(taken_of(items)) == []

    def test_a_configuration_that_is_no_yaml_is_named(self) -> None:
        config = thing("ConfigMap", "kube-proxy", "v1", metadata={"namespace": "kube-system"})
        with pytest.raises(InputError) as caught:
            snapshot_objects(taken_of([{**config, "data": {"config.conf": "{"}}]))
        assert caught.value.where[:3] == ("https://k", "/list", "items[0]")


class TestHistory:
    def test_several_tell_who_held_an_address_when(self, tmp_path: Path) -> None:
        early = [pod("a", "10.0.0.1", uid="1"), pod("b", "10.0.0.2", uid="2")]
        late = [pod("c", "10.0.0.1", uid="3", status={"startTime": at(80)}), pod("b", "10.0.0.2", uid="2")]
        paths = [tmp_path / "late.json", tmp_path / "early.json"]
        paths[0].write_text(snapshot(taken_of(late), at(100)))
        paths[1].write_text(snapshot(taken_of(early), at(10)))
        pods = {one.name: one for one in load(paths).pods}
        assert (pods["a"].ended, pods["b"].ended, pods["c"].ended) == (NOON + 80 * SECOND, None, None)

    @pytest.mark.parametrize(("scope", "gone"), [("shop", True), ("*", True), ("data", False), ("", False)])
    def test_the_scope_tells_what_is_gone(self, tmp_path: Path, scope: str, gone: bool) -> None:  # noqa: FBT001
        for name, objects, taken in (
            ("1", [pod("a", "10.0.0.1")], at(0)),
            ("2", [thing("Namespace", "x", "v1")], at(9)),
        ):
            (tmp_path / f"{name}.json").write_text(snapshot(taken_of(objects), taken, scope))
        (one,) = load([tmp_path]).pods
        assert (one.ended is not None) == gone


def stuffed(value: Any, name: str = "") -> Any:
    """The same with a mark in every mapping that is not one of labels, as a field that is not known here."""
    if isinstance(value, list):
        return [stuffed(item) for item in value]
    is_selector = name == "selector" and isinstance(value, dict) and value.keys() & {"matchLabels", "matchExpressions"}
    if not isinstance(value, dict) or (name in {"labels", "matchLabels", "selector"} and not is_selector):
        return value
    extra = {
        "env": [{"name": "TOKEN", "value": MARK}],
        "annotations": {MARK: MARK},
        "message": MARK,
        "volumes": [{"secret": {"secretName": MARK}}],
        "managedFields": [{"fieldsV1": {MARK: {}}}],
        MARK: MARK,
    }
    return {**extra, **{key: stuffed(inner, key) for key, inner in value.items()}}


def secretive_pod(namespace: str, command: list[str]) -> dict[str, Any]:
    container = {
        "name": MARK,
        "image": MARK,
        "command": [*command, f"--token={MARK}", MARK],
        "args": [MARK, "--cluster-cidr", f"--cluster-cidrs={MARK}"],
        "env": [{"name": MARK, "value": MARK}],
        "envFrom": [{"secretRef": {"name": MARK}}],
        "livenessProbe": {"httpGet": {"path": MARK, "port": 80, "httpHeaders": [{"name": "a", "value": MARK}]}},
        "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP", "hostIP": MARK}],
        "volumeMounts": [{"mountPath": MARK, "name": MARK}],
    }
    state = {"terminated": {"finishedAt": at(9), "message": MARK, "reason": MARK, "containerID": MARK}}
    metadata = {
        "namespace": namespace,
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": MARK, MARK: MARK},
        "managedFields": [{"manager": MARK}],
        "finalizers": [MARK],
        "generateName": MARK,
        "ownerReferences": [{"apiVersion": MARK, "kind": "ReplicaSet", "name": "a", "uid": MARK, "controller": True}],
    }
    spec = {
        "containers": [container],
        "initContainers": [container],
        "ephemeralContainers": [container],
        "volumes": [{"name": MARK, "secret": {"secretName": MARK}}],
        "imagePullSecrets": [{"name": MARK}],
        "serviceAccountName": MARK,
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": [MARK]}],
        "nodeName": "w1",
    }
    status = {
        "message": MARK,
        "reason": MARK,
        "conditions": [{"type": MARK, "lastTransitionTime": at(5), "message": MARK}],
        "containerStatuses": [{"imageID": MARK, "state": state, "lastState": state}],
        "resourceClaimStatuses": [{"name": MARK}],
        "podIPs": [{"ip": "10.0.0.1"}],
    }
    return pod("web", "10.0.0.1", metadata=metadata, spec=spec, status=status)


class TestLeavesOut:
    def test_whatever_a_pod_holds(self) -> None:
        ranges = ["--cluster-cidr=10.244.0.0/16", "--service-cluster-ip-range=10.96.0.0/16"]
        documents = taken_of([secretive_pod("shop", ranges), secretive_pod("kube-system", ranges)])
        text = snapshot(documents)
        assert MARK not in text
        system, ours = snapshot_objects(documents)
        assert system["spec"]["containers"][0]["command"] == ranges
        assert ours["spec"]["containers"] == [{"ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}]
        assert read_as(read_back(text)) == read_as(documents)

    def test_whatever_nodes_services_and_policies_hold(self) -> None:
        marked = {"annotations": {MARK: MARK, "network.cilium.io/ipv4-cilium-host": "10.244.0.7"}}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "w1", **marked},
            "spec": {"providerID": MARK, "podCIDR": "10.244.0.0/24", "taints": [{"key": MARK}]},
            "status": {
                "addresses": [{"type": "Hostname", "address": MARK}, {"type": "InternalIP", "address": "192.0.2.1"}],
                "images": [{"names": [MARK]}],
                "nodeInfo": {"machineID": MARK},
            },
        }
        service = thing("Service", "web", "v1", metadata=marked, spec={"type": "ExternalName", "externalName": MARK})
        slices = thing(
            "EndpointSlice",
            "web-1",
            "discovery.k8s.io/v1",
            metadata={**marked, "labels": {"kubernetes.io/service-name": "web", MARK: MARK}},
            endpoints=[{"addresses": ["10.0.0.1"], "hostname": MARK, "zone": MARK, "conditions": {MARK: True}}],
        )
        policy = thing("NetworkPolicy", "web", "networking.k8s.io/v1", metadata=marked, status={MARK: MARK})
        documents = taken_of([node, service, slices, {**policy, "spec": {"podSelector": {}}}])
        text = snapshot(documents)
        assert MARK not in text
        assert "10.244.0.7" in text
        assert read_as(read_back(text)) == read_as(documents)

    def test_whatever_configuration_and_other_kinds_hold(self) -> None:
        system = {"metadata": {"namespace": "kube-system", "annotations": {MARK: MARK}, "labels": {MARK: MARK}}}
        kubeadm = f"apiServer: {{extraArgs: {{token: {MARK}}}}}\nnetworking: {{podSubnet: 10.8.0.0/16, dns: {MARK}}}"
        items = [
            thing("ConfigMap", "kubeadm-config", "v1", data={"ClusterConfiguration": kubeadm, MARK: MARK}, **system),
            thing("ConfigMap", "kube-proxy", "v1", data={"config.conf": f"clusterCIDR: ''\na: {MARK}"}, **system),
            thing(
                "ConfigMap", "cilium-config", "v1", data={"cluster-pool-ipv4-cidr": "10.9.0.0/16", "a": MARK}, **system
            ),
            thing("ConfigMap", "kube-proxy", "v1", data={"config.conf": f"clusterCIDR: {MARK}"}),
            thing("ConfigMap", MARK, "v1", data={MARK: MARK}),
            thing("Secret", MARK, "v1", data={MARK: MARK}),
            thing("Lease", MARK, "coordination.k8s.io/v1"),
            thing("Rollout", MARK, "argoproj.io/v1alpha1", metadata={"ownerReferences": [{"kind": MARK}]}),
        ]
        documents = taken_of(items)
        text = snapshot(documents)
        assert MARK not in text
        assert inventory_of(read_back(text)).pod_cidrs == ("10.8.0.0/16", "10.9.0.0/16")

    @given(CLUSTERS)
    @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
    def test_fields_of_any_name_anywhere(self, objects: Objects) -> None:
        marked = [stuffed(item) for item in objects]
        assert snapshot(taken_of(marked)) == snapshot(taken_of(objects))

    @given(CLUSTERS, st.randoms(use_true_random=False))
    @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
    def test_mappings_where_a_plain_value_belongs(self, objects: Objects, chance: random.Random) -> None:
        """Malformed objects lose fields, and never show what stands in their place."""
        marked = copy.deepcopy(objects)
        places = [(inner, key) for item in marked for inner in mappings(item) for key in inner]
        for holder, key in chance.sample(places, min(3, len(places))):
            holder[key] = chance.choice([{"x": {"y": MARK}}, [{"x": MARK}], [[MARK]]])
        assert MARK not in snapshot(taken_of(marked))


def mappings(value: Any) -> list[dict[str, Any]]:
    """The value's mappings at every depth, but those that hold labels."""
    if isinstance(value, list):
        return [found for item in value for found in mappings(item)]
    if not isinstance(value, dict):
        return []
    inner = [found for key, item in value.items() if key not in {"labels", "matchLabels"} for found in mappings(item)]
    return [value, *inner]
