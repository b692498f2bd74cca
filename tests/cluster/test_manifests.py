from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster.documents import SCOPE_ANNOTATION, TAKEN_ANNOTATION, Document
from netpol.cluster.manifests import inventory_of, load
from netpol.errors import InputError
from netpol.model.inventory import ContainerPort, EndpointAddress, Inventory, ServicePort, WorkloadRef
from netpol.model.labels import LabelSelector

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., Inventory]
SECOND = 10**9
NOON = 1_767_268_800 * SECOND  # 2026-01-01T12:00:00Z


def at(second: int) -> str:
    return f"2026-01-01T12:{second // 60:02d}:{second % 60:02d}Z"


def pod(name: str, ip: str = "", *, uid: str = "", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **({"uid": uid} if uid else {}), **more.pop("metadata", {})}
    status = {**({"podIP": ip} if ip else {}), **more.pop("status", {})}
    spec = {"containers": [{"name": "c"}], **more.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status, **more}


def owned(kind: str, name: str, *, controller: bool = True) -> dict[str, Any]:
    return {
        "ownerReferences": [{"apiVersion": "x/v1", "kind": kind, "name": name, "uid": "u", "controller": controller}]
    }


def thing(kind: str, name: str, version: str = "apps/v1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", **more.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def template(labels: dict[str, str], port: int = 80) -> dict[str, Any]:
    container = {"name": "c", "ports": [{"containerPort": port}]}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}


def workloads(inventory: Inventory) -> list[str]:
    return [str(pod.workload) for pod in inventory.pods]


class TestOwners:
    @pytest.mark.parametrize(
        ("metadata", "expected"),
        [
            ({}, "shop/a[Pod]"),
            (owned("ReplicaSet", "web-5d4f") | {"labels": {"pod-template-hash": "5d4f"}}, "shop/web[Deployment]"),
            (owned("ReplicaSet", "web-5d4f"), "shop/web-5d4f[ReplicaSet]"),
            (owned("ReplicaSet", "web-5d4f") | {"labels": {"rollouts-pod-template-hash": "5d4f"}}, "shop/web[Rollout]"),
            (owned("ReplicaSet", "-5d4f"[1:]) | {"labels": {"pod-template-hash": "5d4f"}}, "shop/5d4f[ReplicaSet]"),
            (owned("Job", "backup-29380080"), "shop/backup[CronJob]"),
            (owned("Job", "backup-1617184800"), "shop/backup[CronJob]"),
            (owned("Job", "backup-123456789"), "shop/backup-123456789[Job]"),
            (owned("Job", "migrate-7"), "shop/migrate-7[Job]"),
            (
                owned("ReplicationController", "web-3") | {"labels": {"deploymentconfig": "web"}},
                "shop/web[DeploymentConfig]",
            ),
            (owned("StatefulSet", "db"), "shop/db[StatefulSet]"),
            (owned("SeldonDeployment", "model"), "shop/model[SeldonDeployment]"),
            (owned("StatefulSet", "db", controller=False), "shop/a[Pod]"),
            (owned("Node", "worker-1") | {"annotations": {"kubernetes.io/config.mirror": "x"}}, "shop/a[Pod]"),
        ],
    )
    def test_without_the_owners_objects(self, load_looks: Load, metadata: dict[str, Any], expected: str) -> None:
        assert workloads(load_looks([pod("a", metadata=metadata)])) == [expected]

    def test_chains_are_followed_through_objects_of_any_kind(self, load_looks: Load) -> None:
        rollout = thing("Rollout", "web", "argoproj.io/v1alpha1", metadata=owned("App", "shop"))
        replica_set = thing(
            "ReplicaSet", "web-5d4f", metadata=owned("Rollout", "web"), spec={"selector": {}, "template": template({})}
        )
        member = pod("a", metadata=owned("ReplicaSet", "web-5d4f"))
        assert workloads(load_looks([member, replica_set, rollout])) == ["shop/shop[App]"]

    def test_a_given_job_without_an_owner_is_no_cron_job(self, load_looks: Load) -> None:
        job = thing("Job", "backup-29380080", "batch/v1", spec={"template": template({})})
        inventory = load_looks([job, pod("a", metadata=owned("Job", "backup-29380080"))])
        assert workloads(inventory) == ["shop/backup-29380080[Job]"]

    def test_owners_that_own_each_other_end_somewhere(self, load_looks: Load) -> None:
        one, two = thing("A", "x", metadata=owned("B", "y")), thing("B", "y", metadata=owned("A", "x"))
        assert workloads(load_looks([one, two, pod("a", metadata=owned("A", "x"))])) == ["shop/y[B]"]


class TestWorkloads:
    def test_a_manifest_says_selector_template_and_ports_and_invents_no_pods(self, load_looks: Load) -> None:
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template({"app": "web", "v": "1"}, 8080)}
        inventory = load_looks([thing("Deployment", "web", spec=spec)])
        ref = WorkloadRef(namespace="shop", name="web", kind="Deployment")
        workload = inventory.workloads[ref]
        assert inventory.pods == ()
        assert workload.selector == LabelSelector(match_labels={"app": "web"})
        assert workload.template_labels == {"app": "web", "v": "1"}
        assert workload.ports == (ContainerPort(protocol=6, port=8080),)
        assert inventory.namespaces["shop"].labels == {"kubernetes.io/metadata.name": "shop"}
        assert inventory.notes == {"namespaces that no manifest declares": 1}

    def test_a_replica_set_tells_its_deployment_without_the_hash(self, load_looks: Load) -> None:
        labels = {"app": "web", "pod-template-hash": "5d4f"}
        spec = {"selector": {"matchLabels": labels}, "template": template(labels)}
        inventory = load_looks([thing("ReplicaSet", "web-5d4f", metadata=owned("Deployment", "web"), spec=spec)])
        (workload,) = inventory.workloads.values()
        assert str(workload.ref) == "shop/web[Deployment]"
        assert workload.selector == LabelSelector(match_labels={"app": "web"})
        assert workload.template_labels == {"app": "web"}

    def test_kinds_of_one_name_stay_apart_and_each_has_its_shape(self, load_looks: Load) -> None:
        made = template({"app": "x"})
        controllers = [
            thing("StatefulSet", "x", spec={"selector": {"matchLabels": {"app": "x"}}, "template": made}),
            thing("DaemonSet", "x", spec={"selector": {"matchLabels": {"app": "x"}}, "template": made}),
            thing("CronJob", "x", "batch/v1", spec={"jobTemplate": {"spec": {"template": made}}}),
            thing("ReplicationController", "x", "v1", spec={"selector": {"app": "x"}, "template": made}),
            thing("Job", "x", "batch/v1", spec={"selector": {"matchLabels": {"uid": "1"}}, "template": made}),
        ]
        found = load_looks(controllers).workloads
        assert [(ref.kind, workload.selector is not None) for ref, workload in found.items()] == [
            ("CronJob", False),
            ("DaemonSet", True),
            ("Job", False),
            ("ReplicationController", True),
            ("StatefulSet", True),
        ]
        assert all(workload.template_labels == {"app": "x"} and workload.ports for workload in found.values())

    def test_a_bare_pod_is_its_own_template_and_an_unknown_controller_has_none(self, load_looks: Load) -> None:
        inventory = load_looks(
            [
                pod("a", metadata={"labels": {"x": "1"}}),
                pod("b", metadata={**owned("Kafka", "k"), "labels": {"x": "1"}}),
            ]
        )
        assert {str(ref): dict(one.template_labels) for ref, one in inventory.workloads.items()} == {
            "shop/a[Pod]": {"x": "1"},
            "shop/k[Kafka]": {},
        }


class TestPods:
    def test_ports_of_containers_and_sidecars_but_not_of_init_containers(self, load_looks: Load) -> None:
        spec = {
            "containers": [
                {"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}]}
            ],
            "initContainers": [
                {"ports": [{"containerPort": 1}]},
                {"restartPolicy": "Always", "ports": [{"containerPort": 9, "protocol": "SCTP"}]},
            ],
        }
        (found,) = load_looks([pod("a", spec=spec)]).pods
        assert [(port.protocol, port.port, port.name) for port in found.ports] == [
            (6, 80, "http"),
            (17, 53, ""),
            (132, 9, ""),
        ]

    def test_both_families_once(self, load_looks: Load) -> None:
        (found,) = load_looks([pod("a", "10.0.0.1", status={"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]})]).pods
        assert found.addresses == (ip_address("10.0.0.1"), ip_address("fd00::1"))

    def test_start_is_the_kubelets_and_end_is_the_last_container_of_a_finished_pod(self, load_looks: Load) -> None:
        done = {
            "phase": "Succeeded",
            "startTime": at(5),
            "containerStatuses": [
                {"state": {"terminated": {"finishedAt": at(20)}}},
                {"state": {"terminated": {"finishedAt": at(30)}}, "lastState": {"terminated": {"finishedAt": at(10)}}},
            ],
        }
        evicted = {"phase": "Failed", "startTime": at(5), "conditions": [{"lastTransitionTime": at(40)}]}
        restarted = {"phase": "Running", "startTime": at(5), "containerStatuses": [{"state": {"running": {}}}]}
        created = {"creationTimestamp": at(1)}
        inventory = load_looks(
            [
                pod("done", "10.0.0.1", status=done, metadata=created),
                pod("evicted", "10.0.0.2", status=evicted, metadata=created),
                pod("restarted", "10.0.0.3", status=restarted, metadata=created),
                pod("terminating", "10.0.0.4", metadata={**created, "deletionTimestamp": at(50)}),
                pod("timeless", "10.0.0.5"),
                pod("lost", status={"phase": "Failed"}),
            ]
        )
        assert {one.name: (one.finished, one.started, one.ended) for one in inventory.pods} == {
            "done": (True, NOON + 5 * SECOND, NOON + 30 * SECOND),
            "evicted": (True, NOON + 5 * SECOND, NOON + 40 * SECOND),
            "restarted": (False, NOON + 5 * SECOND, None),
            "terminating": (False, NOON + 1 * SECOND, NOON + 50 * SECOND),
            "timeless": (False, None, None),
            "lost": (True, None, 0),
        }

    def test_nodes_known_from_their_pods_only(self, load_looks: Load) -> None:
        inventory = load_looks([pod("a", "10.0.0.1", spec={"nodeName": "w1"}, status={"hostIP": "192.168.0.1"})])
        assert [(node.name, node.addresses) for node in inventory.nodes] == [("w1", (ip_address("192.168.0.1"),))]
        assert inventory.notes["nodes known from their pods only"] == 1


class TestServices:
    def test_addresses_ports_and_kinds(self, load_looks: Load) -> None:
        spec = {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1", "fd00:96::1"],
            "externalIPs": ["203.0.113.7"],
            "externalTrafficPolicy": "Local",
            "selector": {"app": "web"},
            "ports": [
                {"port": 80, "targetPort": "http", "name": "web", "nodePort": 30080},
                {"port": 53, "protocol": "UDP"},
                {"port": 90, "targetPort": 0},
            ],
        }
        status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}, {"hostname": "lb.example"}]}}
        (found,) = load_looks([thing("Service", "web", "v1", spec=spec, status=status)]).services
        assert [str(one) for one in found.addresses] == ["10.96.0.1", "fd00:96::1", "203.0.113.8", "203.0.113.7"]
        assert found.external
        assert found.preserves_client
        assert found.selector == {"app": "web"}
        assert found.ports == (
            ServicePort(protocol=6, port=80, target="http", name="web", node_port=30080),
            ServicePort(protocol=17, port=53, target=53),
            ServicePort(protocol=6, port=90, target=90),
        )

    def test_headless_external_name_and_selector_less(self, load_looks: Load) -> None:
        headless = thing(
            "Service", "a", "v1", spec={"clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}}
        )
        named = thing("Service", "b", "v1", spec={"type": "ExternalName", "externalName": "x.example"})
        bare = thing("Service", "c", "v1", spec={"clusterIP": "10.96.0.2", "selector": {}})
        found = load_looks([headless, named, bare]).services
        assert [(one.selector, [str(address) for address in one.addresses]) for one in found] == [
            ({"a": "b"}, []),
            (None, []),
            (None, ["10.96.0.2"]),
        ]

    def test_endpoints_of_slices_and_endpoints_objects_are_joined(self, load_looks: Load) -> None:
        pieces = [
            thing("Service", "web", "v1", spec={"clusterIP": "10.96.0.1"}),
            thing(
                "EndpointSlice",
                "web-x",
                "discovery.k8s.io/v1",
                metadata={"labels": {"kubernetes.io/service-name": "web"}},
                addressType="IPv4",
                ports=[{"name": "", "port": 8080, "protocol": "TCP"}, {"name": "any"}],
                endpoints=[
                    {
                        "addresses": ["10.0.0.1"],
                        "targetRef": {"kind": "Pod", "name": "a"},
                        "conditions": {"ready": True},
                    },
                    {"addresses": ["10.0.0.2"], "conditions": {"ready": False, "serving": True}},
                ],
            ),
            thing(
                "EndpointSlice",
                "names",
                "discovery.k8s.io/v1",
                metadata={"labels": {"kubernetes.io/service-name": "web"}},
                addressType="FQDN",
                endpoints=[{"addresses": ["x.example"]}],
            ),
            thing(
                "Endpoints",
                "web",
                "v1",
                subsets=[{"notReadyAddresses": [{"ip": "10.0.0.3"}], "ports": [{"port": 1, "protocol": "UDP"}]}],
            ),
            thing("Endpoints", "lone", "v1", subsets=[{"addresses": [{"ip": "10.9.9.9"}]}]),
        ]
        inventory = load_looks(pieces)
        lone, web = inventory.services
        ports = ((6, "", 8080), (6, "any", 0))
        assert web.endpoints == (
            EndpointAddress(address=ip_address("10.0.0.1"), pod="shop/a", ports=ports),
            EndpointAddress(address=ip_address("10.0.0.2"), ports=ports),
            EndpointAddress(address=ip_address("10.0.0.3"), ports=((17, "", 1),)),
        )
        assert (lone.name, lone.addresses, len(lone.endpoints)) == ("lone", (), 1)
        assert inventory.notes["services known from their endpoints only"] == 1

    def test_another_groups_service_is_another_kind(self, load_looks: Load) -> None:
        inventory = load_looks([thing("Service", "x", "serving.knative.dev/v1", spec={"ports": "no"})])
        assert (inventory.services, inventory.passed_over) == ((), {"Service": 1})


class TestRanges:
    def test_from_nodes_kubeadm_flags_service_cidrs_and_pools(self, load_looks: Load) -> None:
        networking = "  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12,fd00:96::/112\n"
        config = {"ClusterConfiguration": f"networking:\n{networking}"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}, "spec": {"podCIDRs": ["10.245.1.0/24"]}}
        command = {"containers": [{"command": ["kube-apiserver", "--service-cluster-ip-range=10.97.0.0/16"]}]}
        inventory = load_looks(
            [
                node,
                thing("ConfigMap", "kubeadm-config", "v1", metadata={"namespace": "kube-system"}, data=config),
                thing("ConfigMap", "other", "v1", data=config),
                pod("api", metadata={"namespace": "kube-system"}, spec=command),
                thing("ServiceCIDR", "x", "networking.k8s.io/v1", spec={"cidrs": ["10.98.0.0/16"]}),
                thing("IPPool", "x", "crd.projectcalico.org/v1", spec={"cidr": "10.246.0.0/16"}),
            ]
        )
        assert inventory.pod_cidrs == ("10.244.0.0/16", "10.245.1.0/24", "10.246.0.0/16")
        assert inventory.service_cidrs == ("10.96.0.0/12", "10.97.0.0/16", "10.98.0.0/16", "fd00:96::/112")
        assert inventory.passed_over == {"ConfigMap": 1}


class TestLooks:
    def test_one_pod_in_several_looks_is_one_with_the_newest_labels(self, load_looks: Load) -> None:
        early = pod("a", "10.0.0.1", uid="u1", metadata={"labels": {"v": "1"}, "creationTimestamp": at(0)})
        late = pod("a", "10.0.0.1", uid="u1", metadata={"labels": {"v": "2"}, "creationTimestamp": at(0)})
        late["status"]["conditions"] = [{"lastTransitionTime": at(60)}]
        inventory = load_looks([late], [early])
        assert [(one.labels, one.started, one.ended) for one in inventory.pods] == [({"v": "2"}, NOON, None)]
        assert inventory.notes["pods whose labels changed between looks"] == 1

    def test_a_pod_that_a_second_look_at_the_same_thing_misses_is_gone(self, load_looks: Load) -> None:
        stays = pod("s", "10.0.0.1", uid="s", metadata={"creationTimestamp": at(0)})
        goes = pod("g", "10.0.0.2", uid="g", metadata={"creationTimestamp": at(10)})
        later = pod("n", "10.0.0.3", uid="n", metadata={"creationTimestamp": at(60)})
        inventory = load_looks([stays, goes], [stays, later])
        assert {one.name: one.ended for one in inventory.pods} == {"s": None, "g": NOON + 60 * SECOND, "n": None}
        assert inventory.notes["pods that a later look no longer shows"] == 1

    def test_a_list_of_other_things_ends_nothing(self, load_looks: Load) -> None:
        one = pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0)})
        other = pod("b", "10.0.0.2", uid="b", metadata={"creationTimestamp": at(60)})
        elsewhere = pod("c", "10.0.0.3", uid="c", metadata={"creationTimestamp": at(90), "namespace": "x"})
        assert [one.ended for one in load_looks([one], [other], [elsewhere]).pods] == [None] * 3

    def test_a_successor_at_the_address_ends_it_earlier(self, load_looks: Load) -> None:
        first = pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0)})
        second = pod("b", "10.0.0.1", uid="b", metadata={"creationTimestamp": at(30)})
        beside = pod("c", "10.0.0.2", uid="c", metadata={"creationTimestamp": at(0)})
        beside_later = pod("c", "10.0.0.2", uid="c", status={"conditions": [{"lastTransitionTime": at(90)}]})
        for looks in ([first], [second]), ([first, beside], [second, beside_later]):
            assert load_looks(*looks).pods[0].ended == NOON + 30 * SECOND

    def test_a_snapshot_that_holds_the_namespace_ends_what_it_misses(self, tmp_path: Path) -> None:
        gone = pod("a", "10.0.0.1", metadata={"creationTimestamp": at(0)})
        kept = pod("b", "10.0.0.2", metadata={"creationTimestamp": at(0), "namespace": "other"})
        first = {"apiVersion": "v1", "kind": "List", "items": [gone, kept]}
        for scope, ends in (("shop", [None, NOON + 100 * SECOND]), ("*", [NOON + 100 * SECOND] * 2)):
            annotations = {TAKEN_ANNOTATION: at(100), SCOPE_ANNOTATION: scope}
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
            second = {
                "apiVersion": "v1",
                "kind": "List",
                "metadata": {"annotations": annotations},
                "items": [namespace],
            }
            (tmp_path / "1.json").write_text(json.dumps(first))
            (tmp_path / "2.json").write_text(json.dumps(second))
            assert [one.ended for one in load([tmp_path]).pods] == ends

    def test_a_manifest_without_uid_means_the_newest_of_its_name(self, load_looks: Load) -> None:
        old = pod("db-0", "10.0.0.1", uid="1", metadata={"creationTimestamp": at(0), "deletionTimestamp": at(20)})
        new = pod("db-0", "10.0.0.2", uid="2", metadata={"creationTimestamp": at(30)})
        bare = pod("db-0", metadata={"labels": {"app": "db"}})
        found = load_looks([old], [new], [bare]).pods
        assert [(one.uid, one.started) for one in found] == [("1", NOON), ("2", NOON + 30 * SECOND)]


class TestRefused:
    @pytest.mark.parametrize(
        ("item", "message"),
        [
            (
                pod("a", spec={"containers": [{"ports": [{"containerPort": 70000}]}]}),
                "spec.containers[0].ports[0].containerPort: 70000",
            ),
            (pod("a", spec={"containers": [{"ports": [{}]}]}), "spec.containers[0].ports[0].containerPort: is missing"),
            (
                pod("a", spec={"containers": [{"ports": [{"containerPort": True}]}]}),
                "is true or false where a port number belongs",
            ),
            (pod("a", spec={"containers": {}}), "spec.containers: is a mapping where a list belongs"),
            (pod("a", spec={"containers": [1]}), "spec.containers[0]: is a number where a mapping belongs"),
            (pod("a", spec={"hostNetwork": "yes"}), "spec.hostNetwork: is text where true or false belongs"),
            (pod("a", "10.0.0.256"), "status.podIP: '10.0.0.256' is not an IP address"),
            (pod("a", "fe80::1%eth0"), "status.podIP"),
            (pod("a", status={"startTime": "yesterday"}), "status.startTime: 'yesterday' is not a time"),
            (pod("a", status={"startTime": "2026-02-30T00:00:00Z"}), "status.startTime"),
            (
                pod("a", metadata={"labels": {"a": True}}),
                "metadata.labels.a: is true or false where text belongs. Quote it",
            ),
            (pod("a", metadata={"labels": {"a b": "c"}}), "metadata.labels: 'a b' is not a label key"),
            (pod("A"), "metadata.name: 'A' is not a name"),
            (pod("a\x1b[31m"), r"metadata.name: 'a\x1b[31m' is not a name"),
            (pod("a", metadata={"namespace": "x.y"}), "metadata.namespace: 'x.y' is not a name"),
            (pod("a", metadata={"name": None}), "metadata.name: is missing"),
            (pod("a", metadata=owned("Replica Set", "x")), "metadata.ownerReferences[0].kind"),
            (
                thing("Service", "a", "v1", spec={"ports": [{"port": 80, "protocol": "ICMP"}]}),
                "spec.ports[0].protocol: 'ICMP'",
            ),
            (thing("Service", "a", "v1", spec={"ports": [{}]}), "spec.ports[0].port: is missing"),
            (thing("Service", "a", "v1", spec={"clusterIP": "none"}), "spec.clusterIP: 'none' is not an IP address"),
            (thing("Deployment", "a", spec={}), "spec.selector: is missing"),
            (
                thing("Deployment", "a", spec={"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
                "spec.selector.matchExpressions[0]: 'Is' is not an operator",
            ),
            (
                thing("Node", "a", "v1", spec={"podCIDRs": ["10.0.0.1/8"]}),
                "spec.podCIDRs[0]: '10.0.0.1/8' has bits set",
            ),
            (thing("Node", "a", "v1", spec={"podCIDR": ","}), "spec.podCIDR: is not a CIDR"),
        ],
    )
    def test_with_the_place_of_the_object_and_the_path_of_the_field(
        self, load_looks: Load, tmp_path: Path, item: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError) as caught:
            load_looks([item])
        assert str(caught.value).startswith(f"{tmp_path / 'look-0.json'}: document 1: items[0]: ")
        assert message in str(caught.value)
        assert caught.value.remedy

    def test_nothing_at_all(self, load_looks: Load) -> None:
        with pytest.raises(InputError, match="no Kubernetes object"):
            load_looks([])

    def test_something_to_generate_is_counted(self, load_looks: Load) -> None:
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "x-"}}
        assert load_looks([job]).passed_over == {"Job (generateName)": 1}


class TestRealManifests:
    def test_live_pods_of_online_boutique(self, shared_apps: Path) -> None:
        inventory = load([shared_apps / "online-boutique-live"])
        assert len(inventory.pods) == 12
        assert {str(pod.addresses[0]): str(pod.workload) for pod in inventory.pods} == {
            "10.244.120.70": "default/checkoutservice[Deployment]",
            "10.244.120.71": "default/emailservice[Deployment]",
            "10.244.120.72": "default/recommendationservice[Deployment]",
            "10.244.120.73": "default/frontend[Deployment]",
            "10.244.120.74": "default/productcatalogservice[Deployment]",
            "10.244.120.75": "default/paymentservice[Deployment]",
            "10.244.120.76": "default/currencyservice[Deployment]",
            "10.244.120.77": "default/loadgenerator[Deployment]",
            "10.244.120.78": "default/cartservice[Deployment]",
            "10.244.120.79": "default/adservice[Deployment]",
            "10.244.120.80": "default/redis-cart[Deployment]",
            "10.244.120.81": "default/shippingservice[Deployment]",
        }
        assert {pod.node for pod in inventory.pods} == {"minikube"}
        assert [(node.name, str(node.addresses[0])) for node in inventory.nodes] == [("minikube", "192.168.49.2")]
        assert inventory.passed_over == {"NetworkPolicy": 11}
        assert sorted(inventory.namespaces) == [
            "default",
            "ingress-nginx",
            "kube-node-lease",
            "kube-public",
            "kube-system",
        ]
        assert inventory.namespaces["ingress-nginx"].labels["app.kubernetes.io/name"] == "ingress-nginx"
        frontend = next(pod for pod in inventory.pods if pod.workload.name == "frontend")
        assert frontend.ports == (ContainerPort(protocol=6, port=8080),)
        assert frontend.started == 1_659_373_520 * SECOND  # 2022-08-01T17:05:20Z

    def test_manifests_of_online_boutique(self, shared_apps: Path) -> None:
        inventory = load([shared_apps / "online-boutique" / "kubernetes-manifests"])
        assert [ref.name for ref in inventory.workloads] == [
            "adservice",
            "cartservice",
            "checkoutservice",
            "currencyservice",
            "emailservice",
            "frontend",
            "loadgenerator",
            "paymentservice",
            "productcatalogservice",
            "recommendationservice",
            "redis-cart",
            "shippingservice",
        ]
        email = next(service for service in inventory.services if service.name == "emailservice")
        assert email.ports == (ServicePort(protocol=6, port=5000, target=8080, name="grpc"),)
        assert (inventory.pods, inventory.passed_over["Kustomization"]) == ((), 1)
        assert [one.name for one in inventory.services if one.external] == ["frontend-external"]


ITEMS = [
    [
        pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0), "labels": {"v": "1"}}),
        pod("b", "10.0.0.2", uid="b", metadata={"creationTimestamp": at(5)}),
    ],
    [pod("a", "10.0.0.9", uid="a", metadata={"creationTimestamp": at(0), "labels": {"v": "2"}})],
    [
        pod("a", metadata={"labels": {"v": "3"}}),
        thing("Service", "s", "v1", spec={"clusterIP": "10.96.0.1"}, metadata={"creationTimestamp": at(9)}),
    ],
    [
        pod("a", "10.0.0.1", uid="a", metadata={"creationTimestamp": at(0)}),
        pod("c", "10.0.0.2", uid="c", metadata={"creationTimestamp": at(50)}),
    ],
    [thing("Service", "s", "v1", spec={"clusterIP": "10.96.0.2"})],
]


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    paths = []
    for number, items in enumerate(ITEMS):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    expected = load(paths)
    assert all(load(list(order)) == expected for order in itertools.permutations(paths))


PATHS = [
    ("metadata", "labels"),
    ("metadata", "name"),
    ("metadata", "ownerReferences"),
    ("metadata", "annotations"),
    ("metadata",),
    ("metadata", "creationTimestamp"),
    ("metadata", "namespace"),
    ("spec",),
    ("spec", "ports"),
    ("spec", "selector"),
    ("spec", "containers"),
    ("spec", "template"),
    ("spec", "clusterIP"),
    ("spec", "jobTemplate"),
    ("spec", "podCIDRs"),
    ("spec", "nodeName"),
    ("status",),
    ("status", "podIPs"),
    ("status", "conditions"),
    ("status", "addresses"),
    ("status", "containerStatuses"),
    ("subsets",),
    ("endpoints",),
    ("ports",),
    ("addressType",),
    ("data",),
    ("spec", "cidrs"),
]
KINDS = [
    ("v1", "Pod"),
    ("v1", "Namespace"),
    ("v1", "Service"),
    ("v1", "Endpoints"),
    ("v1", "Node"),
    ("apps/v1", "Deployment"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("v1", "ConfigMap"),
    ("networking.k8s.io/v1", "ServiceCIDR"),
    ("v1", "ReplicationController"),
    ("coordination.k8s.io/v1", "Lease"),
]
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["10.0.0.1", "web", at(3)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "ip", "ports", "containerPort", "port", "matchLabels", "kind", "labels"]), inner
        )
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(KINDS), st.lists(st.tuples(st.sampled_from(PATHS), trees), min_size=1, max_size=3))
def test_no_manifest_breaks_more_than_itself(kind: tuple[str, str], changes: list[tuple[tuple[str, ...], Any]]) -> None:
    data: dict[str, Any] = {
        "apiVersion": kind[0],
        "kind": kind[1],
        "metadata": {"name": "x", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "x"}},
        "spec": {"selector": {}, "containers": [], "template": {}},
        "status": {},
    }
    for path, tree in changes:
        at_path = data
        for step in path[:-1]:
            inner = at_path.get(step)
            at_path[step] = at_path = inner if isinstance(inner, dict) else {}
        at_path[path[-1]] = tree
    try:
        inventory = inventory_of([Document(("f", "document 1"), data, ("f",))])
    except InputError as error:
        place, remedy = error.where[:2], error.remedy
    else:
        place, remedy = ("f", "document 1"), "x"
        assert isinstance(inventory, Inventory)
    assert place == ("f", "document 1")
    assert remedy
