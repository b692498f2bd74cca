from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netpol.model.inventory import ContainerPort, Inventory, WorkloadRef
from netpol.model.labels import LabelSelector
from tests.cluster.objects import owned, pod, template, thing

Load = Callable[..., Inventory]


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
