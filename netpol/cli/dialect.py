"""The languages that policies are written in, and what each needs to know beside the policies."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.dialects.translation import Surroundings, Translation
    from netpol.graph.beyond import Beyond
    from netpol.graph.selectors import Selectors
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.model.outside import Need
    from netpol.model.policy import NetworkPolicy
    from netpol.policy.generate import Generated


class Dialect(StrEnum):
    """What enforces the policies."""

    KUBERNETES = "kubernetes"
    CILIUM = "cilium"
    CALICO = "calico"
    CALICO_ENTERPRISE = "calico-enterprise"


def usable(dialect: Dialect, key: str) -> bool:
    """Whether a selector can match a pod's label of this key."""
    from netpol.review.cilium import leaves_out

    return dialect is not Dialect.CILIUM or not leaves_out(key)


def surroundings(
    inventory: Inventory,
    generated: Generated,
    selectors: Selectors,
    seen: Iterable[Beyond],
    needs: Iterable[Need],
) -> Surroundings:
    """What a translation is to know.

    Args:
        inventory: Whose addresses are whose.
        generated: The learned policies, and for whom each was written.
        selectors: Names peers.
        seen: What was seen that no NetworkPolicy can or need say.
        needs: What the workloads use outside the cluster.
    """
    from netpol.dialects.translation import Surroundings
    from netpol.policy.generate_extras import extras_for

    by_workload: defaultdict[WorkloadRef, list[Need]] = defaultdict(list)
    for need in needs:
        by_workload[need.workload].append(need)
    of_policies = {
        name: tuple(need for workload in subjects for need in by_workload[workload])
        for name, subjects in generated.subjects.items()
    }
    return Surroundings(
        nodes={address: node.name for node in inventory.nodes for address in node.addresses},
        pods={
            address: f"{pod.namespace}/{pod.name}"
            for pod in inventory.pods
            if not (pod.host_network or pod.finished or pod.ended is not None)
            for address in pod.addresses
        },
        api_servers=_api_servers(inventory),
        extras=extras_for(seen, generated, selectors),
        needs={name: found for name, found in of_policies.items() if found},
    )


def translate(dialect: Dialect, policies: Iterable[NetworkPolicy], around: Surroundings) -> Translation:
    """The policies in another dialect than Kubernetes' own."""
    if dialect is Dialect.CILIUM:
        from netpol.dialects.cilium import to_cilium

        return to_cilium(policies, around)
    from netpol.dialects.calico import to_calico

    return to_calico(policies, around, domains=dialect is Dialect.CALICO_ENTERPRISE)


def account_of(dialect: Dialect, translation: Translation | None) -> Mapping[str, Any]:
    """The part of `summary.json` that tells what the dialect says differently."""
    remarks = translation.remarks if translation else ()
    return {
        "name": dialect.value,
        "remarks": [
            {
                "id": remark.identifier,
                "policies": list(remark.policies),
                "text": remark.text,
                "remedy": remark.remedy,
            }
            for remark in remarks
        ],
    }


def _api_servers(inventory: Inventory) -> frozenset[Address]:
    """Where the Service `default/kubernetes` leads: its endpoints are nobody else's to set."""
    return frozenset(
        endpoint.address
        for service in inventory.services
        if (service.namespace, service.name) == ("default", "kubernetes")
        for endpoint in service.endpoints
    )
