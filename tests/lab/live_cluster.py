"""The shop's objects in a real API server, kept as controllers and kubelets would keep them while the lab runs."""

from __future__ import annotations

import urllib.error
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shoplab.description import all_pods
from shoplab.manifests import objects
from shoplab.workloads import Clock

from tests.cluster.control_plane import MERGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoplab.description import Pod

    from tests.cluster.control_plane import Cluster

Manifest = dict[str, Any]

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
}
_WITH_STATUS = ("Node", "Pod", "Service")
"""What netpol or a policy controller reads the status of."""


class LiveCluster:
    """Follows a scenario: its pods are objects from the moment that they run, and finished ones stay as such.

    The API server says itself when an object was made and which uid it has; owner references name those.
    """

    def __init__(self, server: Cluster) -> None:
        self._server = server
        self._uids: dict[str, str] = {}
        self._made: set[tuple[str, str, str]] = set()
        self._runs: dict[str, tuple[datetime, datetime | None]] = {}
        self._started = datetime.now(UTC)

    def apply(self, pods: Sequence[Pod]) -> None:
        """Create what is new, and let the pods of job runs that are over have succeeded."""
        there = {pod.workload.name for pod in pods}
        for workload in (pod.workload for pod in all_pods() if pod.workload.kind == "CronJob"):
            began, ended = self._runs.get(workload.name, (None, None))
            if workload.name in there and began is None:
                self._runs[workload.name] = datetime.now(UTC), None
            elif workload.name not in there and began is not None and ended is None:
                self._runs[workload.name] = began, datetime.now(UTC)
        age = timedelta(seconds=0)
        for item in objects(Clock(started=self._started, runs=self._runs, age=(age, age))):
            self._put(item)

    def pods(self) -> dict[str, str]:
        """The phase of each pod by its uid, as the API server has it."""
        items = self._server.call("/api/v1/pods", method="GET")["items"]
        return {item["metadata"]["uid"]: item["status"]["phase"] for item in items}

    def policies(self, policies: Sequence[Manifest]) -> None:
        """Have these NetworkPolicies as well."""
        for policy in policies:
            self._put(policy)

    def _put(self, item: Manifest) -> None:
        data = item["metadata"]
        key = (item["kind"], data.get("namespace", ""), data["name"])
        path = _PATHS[item["kind"]].format(data.get("namespace", ""))
        if key not in self._made:
            stored = self._create(path, _as_submitted(item, self._uids))
            self._uids[data.get("uid", "")] = stored["metadata"]["uid"]
            self._made.add(key)
        elif item["kind"] != "Pod" or item["status"]["phase"] != "Succeeded":
            return
        if item["kind"] in _WITH_STATUS:
            self._server.call(f"{path}/{data['name']}/status", {"status": item["status"]}, method="PATCH", kind=MERGE)

    def _create(self, path: str, item: Manifest) -> Manifest:
        """The object as it is stored, also where the API server made it by itself: its own Service and namespaces."""
        name = item["metadata"]["name"]
        try:
            stored: Manifest = self._server.call(path, item)
        except urllib.error.HTTPError as error:
            why = error.read().decode()
            if error.code != 409 and "already allocated" not in why:
                raise AssertionError(f"{item['kind']} {name}: {why}") from error
            stored = self._server.call(f"{path}/{name}", method="GET")
        return stored


def _as_submitted(item: Manifest, uids: dict[str, str]) -> Manifest:
    """The object as its maker would send it: without what the API server adds, owners by the uids that they got."""
    data = {k: v for k, v in item["metadata"].items() if k not in {"uid", "resourceVersion", "creationTimestamp"}}
    if "ownerReferences" in data:
        data["ownerReferences"] = [{**owner, "uid": uids[owner["uid"]]} for owner in data["ownerReferences"]]
    if "labels" in data:
        data["labels"] = {key: uids.get(value, value) for key, value in data["labels"].items()}
    spec = item.get("spec")
    if item["kind"] == "Job" and spec is not None:
        # The API server makes a Job's selector, and the labels for it, from the uid that it gives.
        labels = {
            k: v for k, v in spec["template"]["metadata"]["labels"].items() if "job-name" not in k and "uid" not in k
        }
        template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
        spec = {**{k: v for k, v in spec.items() if k != "selector"}, "template": template}
    more = {} if spec is None else {"spec": spec}
    return {**{k: v for k, v in item.items() if k not in {"metadata", "spec", "status"}}, "metadata": data, **more}
