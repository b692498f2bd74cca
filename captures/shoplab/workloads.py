"""Pods and their controllers as the API server would show them.

Field by field after the API reference (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/): what
the apiserver defaults and the controllers and kubelets set is there as far as it concerns networking, owners or time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shoplab.description import WORKLOADS, Pod, Workload, pods_of, suffix, uid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shoplab.description import Port

Manifest = dict[str, Any]

_GROUPS = {"Job": "batch/v1", "CronJob": "batch/v1"}
_REVISION_LABELS = {"StatefulSet": "controller-revision-hash", "DaemonSet": "controller-revision-hash"}


def stamp(moment: datetime) -> str:
    """A metav1.Time: whole seconds, the rest cut off."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The moments that the manifests speak of.

    Attributes:
        started: When the capture began; everything else was there before.
        runs: For each CronJob that ran, when its pod started and when its program ended, None while it runs.
        age: How long before the capture the controllers, and today's pods, were made.
    """

    started: datetime
    runs: Mapping[str, tuple[datetime, datetime | None]]
    age: tuple[timedelta, timedelta] = (timedelta(days=9), timedelta(days=2, hours=5))

    @property
    def installed(self) -> str:
        """When the cluster and its controllers were made."""
        return stamp(self.started - self.age[0])

    @property
    def rolled_out(self) -> str:
        """When today's pods were made."""
        return stamp(self.started - self.age[1])


def metadata(kind: str, namespace: str, name: str, created: str, **more: Any) -> Manifest:
    """ObjectMeta with what every object has; an empty namespace for what has none."""
    place = {"namespace": namespace} if namespace else {}
    identity = uid(kind, namespace, name)
    return {"creationTimestamp": created, "name": name, **place, "resourceVersion": "118204", "uid": identity, **more}


def controllers_and_pods(clock: Clock) -> Iterator[Manifest]:
    """Every workload's controllers, outermost first, and then its pods."""
    for workload in WORKLOADS:
        if workload.kind == "CronJob":
            yield from _cron_job(workload, clock)
            continue
        yield _controller(workload, clock)
        owner = (workload.kind, workload.name)
        if workload.kind == "Deployment":
            yield _replica_set(workload, clock)
            owner = ("ReplicaSet", _replica_set_name(workload))
        for pod in pods_of(workload):
            yield _running_pod(pod, owner, clock)


def _owner(kind: str, namespace: str, name: str) -> Manifest:
    group = _GROUPS.get(kind, "apps/v1")
    identity = uid(kind, namespace, name)
    reference = {"apiVersion": group, "blockOwnerDeletion": True, "controller": True}
    return {"ownerReferences": [{**reference, "kind": kind, "name": name, "uid": identity}]}


def _replica_set_name(workload: Workload) -> str:
    return f"{workload.name}-{workload.template_hash}"


def _container(workload: Workload) -> Manifest:
    container: Manifest = {"image": workload.image, "imagePullPolicy": "IfNotPresent", "name": workload.name}
    if workload.ports:
        container["ports"] = [_port(port, workload) for port in workload.ports]
    if workload.probe:
        kind, port = workload.probe
        name = next(p.name for p in workload.ports if p.number == port)
        questions: dict[str, Manifest] = {
            "http": {"httpGet": {"path": "/healthz", "port": name, "scheme": "HTTP"}},
            "tcp": {"tcpSocket": {"port": name}},
            "exec": {"exec": {"command": ["redis-cli", "ping"]}},
        }
        container["readinessProbe"] = {
            **questions[kind],
            "failureThreshold": 3,
            "periodSeconds": 10,
            "timeoutSeconds": 1,
        }
    return container


def _port(port: Port, workload: Workload) -> Manifest:
    host = {"hostPort": port.number} if workload.host_network else {}
    return {"containerPort": port.number, **host, "name": port.name, "protocol": port.protocol}


def _pod_spec(workload: Workload) -> Manifest:
    once = workload.kind == "CronJob"
    spec: Manifest = {"containers": [_container(workload)], "restartPolicy": "OnFailure" if once else "Always"}
    spec["dnsPolicy"] = "ClusterFirst"
    if workload.name == "report":
        spec["dnsConfig"] = {"options": [{"name": "use-vc"}]}
    if workload.host_network:
        spec["hostNetwork"] = True
    return spec


def _template(workload: Workload, more_labels: Mapping[str, str]) -> Manifest:
    notes = {"annotations": dict(workload.annotations)} if workload.annotations else {}
    labels = {**workload.labels, **more_labels}
    return {"metadata": {"creationTimestamp": None, **notes, "labels": labels}, "spec": _pod_spec(workload)}


def _controller(workload: Workload, clock: Clock) -> Manifest:
    """A Deployment, StatefulSet or DaemonSet."""
    count = len(workload.places)
    spec: Manifest = {"selector": {"matchLabels": dict(workload.selector)}, "template": _template(workload, {})}
    status: Manifest = {"observedGeneration": 1, "replicas": count, "readyReplicas": count, "availableReplicas": count}
    if workload.kind == "DaemonSet":
        status = {"currentNumberScheduled": count, "desiredNumberScheduled": count, "numberReady": count}
    else:
        spec["replicas"] = count
    if workload.kind == "StatefulSet":
        spec["serviceName"] = workload.name
    data = metadata(workload.kind, workload.namespace, workload.name, clock.installed, labels=dict(workload.selector))
    return {"apiVersion": "apps/v1", "kind": workload.kind, "metadata": data, "spec": spec, "status": status}


def _replica_set(workload: Workload, clock: Clock) -> Manifest:
    count = len(workload.places)
    revision = {"pod-template-hash": workload.template_hash}
    labels = {**workload.labels, **revision}
    owner = _owner("Deployment", workload.namespace, workload.name)
    name = _replica_set_name(workload)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata("ReplicaSet", workload.namespace, name, clock.rolled_out, labels=labels, **owner),
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": {**workload.selector, **revision}},
            "template": _template(workload, revision),
        },
        "status": {"availableReplicas": count, "observedGeneration": 1, "readyReplicas": count, "replicas": count},
    }


def _running_pod(pod: Pod, owner: tuple[str, str], clock: Clock) -> Manifest:
    workload = pod.workload
    labels = dict(workload.labels)
    if workload.kind == "Deployment":
        labels["pod-template-hash"] = workload.template_hash
        name = f"{_replica_set_name(workload)}-{suffix(5, workload.name, str(pod.ordinal))}"
    elif workload.kind == "StatefulSet":
        name = f"{workload.name}-{pod.ordinal}"
        labels |= {"apps.kubernetes.io/pod-index": str(pod.ordinal), "statefulset.kubernetes.io/pod-name": name}
    else:
        name = f"{workload.name}-{suffix(5, workload.name, pod.node.name)}"
        labels["pod-template-generation"] = "1"
    if workload.kind in _REVISION_LABELS:
        labels[_REVISION_LABELS[workload.kind]] = f"{workload.name}-{workload.template_hash}"
    state = {"running": {"startedAt": clock.rolled_out}}
    status = _pod_status(pod, clock.rolled_out, "Running", state, conditions=_conditions(clock.rolled_out, ready=True))
    return _pod(pod, name, labels, _owner(owner[0], workload.namespace, owner[1]), clock.rolled_out, status)


def _conditions(since: str, *, ready: bool, finished: str = "") -> list[Manifest]:
    why = {"reason": "PodCompleted"} if finished else {}
    return [
        {"lastProbeTime": None, "lastTransitionTime": since, "status": "True", "type": "PodScheduled"},
        {"lastProbeTime": None, "lastTransitionTime": since, "status": "True", "type": "Initialized", **why},
        *(
            {"lastProbeTime": None, "lastTransitionTime": finished or since, "status": str(ready), "type": kind, **why}
            for kind in ("ContainersReady", "Ready")
        ),
    ]


def _pod_status(pod: Pod, started: str, phase: str, state: Manifest, *, conditions: list[Manifest]) -> Manifest:
    ready = phase == "Running"
    container = {"image": pod.workload.image, "name": pod.workload.name, "ready": ready, "restartCount": 0}
    return {
        "conditions": conditions,
        "containerStatuses": [{**container, "started": ready, "state": state}],
        "hostIP": pod.node.address,
        "hostIPs": [{"ip": pod.node.address}],
        "phase": phase,
        "podIP": pod.address,
        "podIPs": [{"ip": address} for address in pod.addresses],
        "qosClass": "BestEffort",
        "startTime": started,
    }


def _pod(pod: Pod, name: str, labels: dict[str, str], owner: Manifest, created: str, status: Manifest) -> Manifest:  # noqa: PLR0913, PLR0917 - the parts of one object
    workload = pod.workload
    notes = {"annotations": dict(workload.annotations)} if workload.annotations else {}
    data = metadata("Pod", workload.namespace, name, created, **notes, labels=labels, **owner)
    spec = {**_pod_spec(workload), "nodeName": pod.node.name, "serviceAccountName": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": data, "spec": spec, "status": status}


def _cron_job(workload: Workload, clock: Clock) -> Iterator[Manifest]:
    """A CronJob, and the Job and the pod of its one run if there was one."""
    began, ended = clock.runs.get(workload.name, (None, None))
    start = stamp(began) if began else None
    end = stamp(ended) if ended else None
    namespace = workload.namespace
    done = {"lastSuccessfulTime": end} if end else {}
    yield {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata("CronJob", namespace, workload.name, clock.installed, labels=dict(workload.selector)),
        "spec": {
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"metadata": {"creationTimestamp": None}, "spec": {"template": _template(workload, {})}},
            "schedule": workload.schedule,
            "successfulJobsHistoryLimit": 3,
            "suspend": False,
        },
        "status": {"lastScheduleTime": start, **done} if start else {},
    }
    if began is not None and start is not None:
        yield from _run(workload, f"{workload.name}-{int(began.timestamp()) // 60}", start, end)


def _run(workload: Workload, job: str, start: str, end: str | None) -> Iterator[Manifest]:
    """A Job and its pod, which has finished unless `end` is None."""
    namespace = workload.namespace
    run = uid("Job", namespace, job)
    job_labels = {
        "batch.kubernetes.io/controller-uid": run,
        "batch.kubernetes.io/job-name": job,
        "controller-uid": run,
        "job-name": job,
    }
    complete: Manifest = {
        "completionTime": end,
        "conditions": [{"lastTransitionTime": end, "status": "True", "type": "Complete"}],
        "ready": 0,
        "startTime": start,
        "succeeded": 1,
    }
    owner = _owner("CronJob", namespace, workload.name)
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata("Job", namespace, job, start, labels=dict(workload.labels), **owner),
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": run}},
            "template": _template(workload, job_labels),
        },
        "status": complete if end else {"active": 1, "ready": 1, "startTime": start},
    }
    pod = pods_of(workload)[0]
    if end is None:
        status = _pod_status(
            pod, start, "Running", {"running": {"startedAt": start}}, conditions=_conditions(start, ready=True)
        )
    else:
        state = {"terminated": {"exitCode": 0, "finishedAt": end, "reason": "Completed", "startedAt": start}}
        status = _pod_status(pod, start, "Succeeded", state, conditions=_conditions(start, ready=False, finished=end))
    name = f"{job}-{suffix(5, workload.name)}"
    yield _pod(pod, name, {**workload.labels, **job_labels}, _owner("Job", namespace, job), start, status)
