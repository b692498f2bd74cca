"""Which workload a pod belongs to: the topmost controller that is known.

The chain of ownerReferences with `controller: true` is followed as far as objects are given. Where they are not, the
naming rules of the controllers give the next step:

- ReplicaSet of a Deployment: `NAME-HASH`, the hash in the pod's label pod-template-hash (deployment controller); the
  same for an Argo Rollout with rollouts-pod-template-hash, and for a DeploymentConfig's ReplicationController, whose
  pods carry the label deploymentconfig.
- Job of a CronJob: `NAME-MINUTES`, the scheduled time in minutes since the epoch (eight digits until 2160; cronjob
  controller, getJobName); ten digits are seconds, as controllers before Kubernetes 1.21 wrote.

A static pod's mirror is owned by its Node, which is no workload: it stands for itself, with the node's name in its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from netpol.model.inventory import WorkloadRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.cluster.fields import Fields, Object

TEMPLATE_HASH: Final = "pod-template-hash"
"""The label that the deployment controller adds to a ReplicaSet's selector and template."""

_HASHES: Final = ((TEMPLATE_HASH, "Deployment"), ("rollouts-pod-template-hash", "Rollout"))
_CONFIG: Final = "deploymentconfig"
_TELLING: Final = (*(label for label, _ in _HASHES), _CONFIG)
"""The labels that `_above` looks at."""
_CRON_NAME = re.compile(r"(.+)-(?:\d{8}|\d{10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Owner:
    """A controller, as an ownerReference names it."""

    kind: str
    name: str


_owner = lru_cache(maxsize=65536)(Owner)
"""The owner of a hundred replicas is one object."""


def controller_of(metadata: Fields) -> Owner | None:
    """The owner with `controller: true`; the API allows one at most."""
    for reference in metadata.each("ownerReferences"):
        if reference.flag("controller"):
            return _owner(reference.name_of_kind("kind"), reference.name())
    return None


@dataclass(slots=True)
class Owners:
    """The controllers of all objects given, of whatever kind."""

    _known: dict[tuple[str, str, str], Owner | None] = field(default_factory=dict)
    _topmost: dict[tuple[str | None, ...], WorkloadRef] = field(default_factory=dict)

    def add(self, item: Object) -> None:
        """Takes note of an object and its controller; one that names a controller wins over one that does not."""
        key = (item.namespace, item.kind, item.object_name)
        owner = controller_of(item.metadata)
        known = self._known.get(key)
        if known is None or (owner is not None and (owner.kind, owner.name) < (known.kind, known.name)):
            self._known[key] = owner
            self._topmost.clear()

    def workload(self, namespace: str, pod: str, labels: Mapping[str, str], owner: Owner | None) -> WorkloadRef:
        """The workload of a pod with this controller."""
        if owner is None or owner.kind == "Node":
            return WorkloadRef(namespace=namespace, name=pod, kind="Pod")
        return self.topmost(namespace, owner, labels)

    def topmost(self, namespace: str, owner: Owner, labels: Mapping[str, str]) -> WorkloadRef:
        """Where the chain that starts at a controller ends.

        Args:
            namespace: Of the controller: owners live in the namespace of what they own.
            owner: The controller.
            labels: Of the pod, or of the template: they tell the hash.
        """
        key = (namespace, owner.kind, owner.name, *map(labels.get, _TELLING))
        found = self._topmost.get(key)
        if found is None:
            found = self._topmost[key] = self._climb(namespace, owner, labels)
        return found

    def _climb(self, namespace: str, owner: Owner, labels: Mapping[str, str]) -> WorkloadRef:
        passed = {owner}
        while (above := self._above(namespace, owner, labels)) is not None and above not in passed:
            owner = above
            passed.add(owner)
        return WorkloadRef(namespace=namespace, name=owner.name, kind=owner.kind)

    def _above(self, namespace: str, owner: Owner, labels: Mapping[str, str]) -> Owner | None:
        key = (namespace, owner.kind, owner.name)
        if key in self._known:
            return self._known[key]
        if owner.kind == "ReplicaSet":
            for label, kind in _HASHES:
                tail = "-" + labels.get(label, "")
                if len(tail) > 1 and owner.name.endswith(tail) and len(owner.name) > len(tail):
                    return Owner(kind, owner.name.removesuffix(tail))
        if owner.kind == "ReplicationController" and owner.name.startswith(f"{labels.get(_CONFIG, '-')}-"):
            return Owner("DeploymentConfig", labels[_CONFIG])
        if owner.kind == "Job" and (match := _CRON_NAME.fullmatch(owner.name)) is not None:
            return Owner("CronJob", match[1])
        return None
