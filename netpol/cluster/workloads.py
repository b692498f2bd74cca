"""A controller's object, read: what it says about the pods that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netpol.cluster.owners import TEMPLATE_HASH, Owner, controller_of
from netpol.cluster.pods import read_ports
from netpol.model.inventory import ContainerPort, Workload, WorkloadRef
from netpol.model.labels import LabelSelector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.cluster.fields import Object

GROUPS: Final = {
    "Deployment": ("apps", "extensions"),
    "ReplicaSet": ("apps", "extensions"),
    "StatefulSet": ("apps",),
    "DaemonSet": ("apps", "extensions"),
    "ReplicationController": ("",),
    "Job": ("batch",),
    "CronJob": ("batch",),
}
"""The kinds of controllers and the API groups that they have lived in."""

_UNSELECTIVE: Final = frozenset({"Job", "CronJob"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSeen:
    """What one look shows of a controller.

    Attributes:
        selector: None for Jobs and CronJobs, whose selector is made up for each run.
    """

    namespace: str
    kind: str
    name: str
    owner: Owner | None
    selector: LabelSelector | None
    template_labels: Mapping[str, str]
    ports: tuple[ContainerPort, ...]
    host_network: bool

    def workload(self, ref: WorkloadRef) -> Workload:
        """The workload, under the name of the topmost controller.

        A Deployment is known from its ReplicaSet too: the controller adds one label to selector and template.
        """
        labels, selector = dict(self.template_labels), self.selector
        if (ref.kind, ref.name) != (self.kind, self.name):
            labels.pop(TEMPLATE_HASH, None)
            if selector is not None:
                kept = {key: value for key, value in selector.match_labels.items() if key != TEMPLATE_HASH}
                selector = LabelSelector(match_labels=kept, match_expressions=selector.match_expressions)
        return Workload(
            ref=ref,
            selector=selector,
            template_labels=labels,
            ports=self.ports,
            host_network=self.host_network,
        )


def read_workload(item: Object) -> WorkloadSeen:
    """Reads a controller.

    Raises:
        InputError: A field is malformed, or the selector is missing where the API demands one.
    """
    spec = item.fields("spec")
    template = (spec.fields("jobTemplate").fields("spec") if item.kind == "CronJob" else spec).fields("template")
    labels = template.fields("metadata").labels()
    pod_spec = template.fields("spec")
    selector: LabelSelector | None = None
    if item.kind == "ReplicationController":
        # core/v1: a plain map; the template's labels where it is empty.
        selector = LabelSelector(match_labels=spec.labels("selector") or labels)
    elif item.kind not in _UNSELECTIVE:
        selector = spec.selector()
        if selector is None and item.group == "apps" and item.text("apiVersion") == "apps/v1":
            raise spec.error("selector", "is missing", "apps/v1 demands a selector that matches the template's labels")
        selector = selector if selector is not None else LabelSelector(match_labels=labels)
    return WorkloadSeen(
        namespace=item.namespace,
        kind=item.kind,
        name=item.object_name,
        owner=controller_of(item.metadata),
        selector=selector,
        template_labels=labels,
        ports=read_ports(pod_spec),
        host_network=pod_spec.flag("hostNetwork"),
    )
