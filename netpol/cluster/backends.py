"""Which pods stand behind a Service by its selector, and which port of each."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.inventory import Pod, Service, ServicePort


class Backends:
    """The pods of an inventory by namespace and label, so that a Service finds its own without looking at all."""

    __slots__ = ("_by_label",)

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._by_label: dict[tuple[str, str, str], list[Pod]] = defaultdict(list)
        for pod in pods:
            for key, value in pod.labels.items():
                self._by_label[pod.namespace, key, value].append(pod)

    def of(self, service: Service) -> list[Pod]:
        """The pods that the selector matches, at whatever time they lived; none for a Service without selector."""
        if not service.selector:
            return []
        rows = [self._by_label.get((service.namespace, key, value), []) for key, value in service.selector.items()]
        wanted = service.selector.items()
        return [pod for pod in min(rows, key=len) if wanted <= pod.labels.items()]


def target_port(port: ServicePort, pod: Pod) -> int | None:
    """The pod's own port behind a Service's: a number as it stands, a name by the pod's containers and the protocol.

    None where the pod declares no such name: it gets no traffic through this port (core/v1 ServicePort.targetPort).
    """
    if isinstance(port.target, int):
        return port.target
    return next((one.port for one in pod.ports if one.name == port.target and one.protocol == port.protocol), None)
