"""The label graph to policies: one for each workload seen in learned traffic, allowing exactly what was learned.

A workload that was seen only in traffic that was not learned (refused, scanned, its own node's probes) gets none:
there is no evidence of what it needs. Neither does a workload in the host network, and no policy is ever written with
the empty selector but a namespace's default-deny, where every pod is what is meant.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from netpol.graph.selectors import Naming
from netpol.model.inventory import SYSTEM_NAMESPACES
from netpol.model.labels import LabelSelector
from netpol.model.policy import NetworkPolicy
from netpol.policy.generate_names import DEFAULT_DENY, numbered, policy_names
from netpol.policy.generate_rules import rules_for
from netpol.policy.generate_statements import statements_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netpol.graph.label_graph import LabelGraph
    from netpol.graph.selectors import Selectors
    from netpol.model.inventory import Inventory, WorkloadRef
    from netpol.policy.generate_statements import Statement

MANAGED_BY = {"app.kubernetes.io/managed-by": "netpol"}
"""On every generated policy."""


class Directions(StrEnum):
    """Which directions a policy isolates."""

    BOTH = "both"
    """A direction in which the workload was never seen is closed."""
    OBSERVED = "observed"
    """Such a direction stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user may choose.

    Attributes:
        default_deny: Add to each namespace that has policies one that closes everything else there.
        namespaces: Write policies for these only, system namespaces among them if named; None: all.
        system: Write policies for system namespaces too.
    """

    directions: Directions = Directions.BOTH
    default_deny: bool = False
    namespaces: frozenset[str] | None = None
    system: bool = False

    def wants(self, namespace: str) -> bool:
        """Whether a namespace gets policies, or is only a peer of others."""
        if self.namespaces is not None:
            return namespace in self.namespaces
        return self.system or namespace not in SYSTEM_NAMESPACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The policies and what a person must know about them.

    Attributes:
        policies: By namespace and name.
        subjects: For `namespace/name` of each policy, the workloads that it was written for; none for a default-deny.
        statements: The most important first.
        rules: How many rules all policies have.
        rules_lower_bound: No policies for the same subjects that allow exactly the same have fewer.
        selectors: How many selectors name the policies' pods and peers.
    """

    policies: tuple[NetworkPolicy, ...]
    subjects: Mapping[str, tuple[WorkloadRef, ...]]
    statements: tuple[Statement, ...]
    rules: int
    rules_lower_bound: int
    selectors: int


@dataclass(frozen=True, slots=True)
class _Subject:
    """Workloads that one selector names: one, or twins that labels cannot tell apart."""

    namespace: str
    selectors: tuple[LabelSelector, ...]
    workloads: tuple[WorkloadRef, ...]


def generate(graph: LabelGraph, inventory: Inventory, selectors: Selectors, options: Options = Options()) -> Generated:
    """Writes the policies. The same graph and inventory give the same policies, byte for byte."""
    subjects = _subjects(graph, selectors, options)
    names = policy_names([*inventory.workloads, *(pod.workload for pod in inventory.pods), *graph.workloads()])
    policies: list[NetworkPolicy] = []
    owners: dict[str, tuple[WorkloadRef, ...]] = {}
    written: dict[WorkloadRef, NetworkPolicy] = {}
    rules = bound = 0
    for subject in subjects:
        incoming = [(edge.source, edge) for workload in subject.workloads for edge in graph.incoming(workload)]
        outgoing = [(edge.destination, edge) for workload in subject.workloads for edge in graph.outgoing(workload)]
        ingress = rules_for(subject.namespace, incoming, selectors)
        egress = rules_for(subject.namespace, outgoing, selectors)
        both = options.directions is Directions.BOTH
        for index, selector in enumerate(subject.selectors):
            policy = NetworkPolicy(
                namespace=subject.namespace,
                name=numbered(names[subject.workloads[0]], index),
                pod_selector=selector,
                isolates_ingress=both or bool(incoming),
                isolates_egress=both or bool(outgoing),
                ingress=ingress.rules,
                egress=egress.rules,
                labels=MANAGED_BY,
            )
            policies.append(policy)
            owners[str(policy)] = subject.workloads
            written |= dict.fromkeys(subject.workloads, policy)
            rules += len(ingress.rules) + len(egress.rules)
            bound += ingress.lower_bound + egress.lower_bound
    if options.default_deny:
        for namespace in sorted({policy.namespace for policy in policies}):
            deny = default_deny(namespace)
            policies.append(deny)
            owners[str(deny)] = ()
    policies.sort(key=lambda policy: (policy.namespace, policy.name))
    return Generated(
        policies=tuple(policies),
        subjects={str(policy): owners[str(policy)] for policy in policies},
        statements=statements_for(graph, inventory, selectors, written, options.wants),
        rules=rules,
        rules_lower_bound=bound,
        selectors=len(_distinct_selectors(graph, selectors, policies)),
    )


def default_deny(namespace: str) -> NetworkPolicy:
    """Closes everything in a namespace that no other policy allows: the one place where every pod is meant."""
    return NetworkPolicy(
        namespace=namespace,
        name=DEFAULT_DENY,
        pod_selector=LabelSelector(),
        isolates_ingress=True,
        isolates_egress=True,
        labels=MANAGED_BY,
    )


def _subjects(graph: LabelGraph, selectors: Selectors, options: Options) -> list[_Subject]:
    """Whom to write policies for; workloads with the very same selectors share one."""
    sharing: defaultdict[tuple[str, tuple[LabelSelector, ...]], list[WorkloadRef]] = defaultdict(list)
    for workload in graph.workloads():
        selection = selectors.of(workload)
        if options.wants(workload.namespace) and selection.naming is not Naming.NONE:
            sharing[workload.namespace, selection.selectors].append(workload)
    return [_Subject(namespace, found, tuple(sorted(who))) for (namespace, found), who in sharing.items()]


def _distinct_selectors(
    graph: LabelGraph, selectors: Selectors, policies: Iterable[NetworkPolicy]
) -> set[tuple[str, LabelSelector]]:
    used = {(policy.namespace, policy.pod_selector) for policy in policies}
    for workload in graph.workloads():
        used.update((workload.namespace, selector) for selector in selectors.of(workload).selectors)
    return used
