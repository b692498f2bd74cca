from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster.documents import Document
from netpol.cluster.manifests import inventory_of, load
from netpol.errors import InputError
from netpol.model.inventory import ContainerPort, EndpointAddress, Inventory, ServicePort
from tests.cluster.objects import NOON, SECOND, at, owned, pod, thing

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., Inventory]


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


@settings(deadline=None, max_examples=150)
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
