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
from netpol.model.cidr import AddressSet
from netpol.model.labels import LabelSelector
from netpol.model.policy import NetworkPolicy
from netpol.policy.generate_entrances import Entrances, entrances_of, with_entrances
from netpol.policy.generate_names import DEFAULT_DENY, another_name, numbered, policy_names
from netpol.policy.generate_rules import rules_for
from netpol.policy.generate_scope import Scope, Wanted
from netpol.policy.generate_statements import statements_for
from netpol.policy.outside_doors import FEW_CLIENTS

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
class Options(Wanted):
    """What the user may choose.

    Attributes:
        default_deny: Add to each namespace that has policies one that closes everything else there.
        foreign: Policies that are there and that netpol did not write: their names are not used, and where one is a
            default-deny, none is added.
        public: Workloads that everybody outside may connect to.
        few_clients: Up to so many distinct outside clients of a port that a Service leads the outside to are allowed
            one by one, more of them stand for everybody.
        withheld: Outside addresses that must not be allowed where everybody is.
    """

    directions: Directions = Directions.BOTH
    default_deny: bool = False
    foreign: tuple[NetworkPolicy, ...] = ()
    public: frozenset[WorkloadRef] = frozenset()
    few_clients: int = FEW_CLIENTS
    withheld: AddressSet = AddressSet.EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The policies and what a person must know about them.

    Attributes:
        policies: By namespace and name.
        subjects: For `namespace/name` of each policy, the workloads that it was written for; none for a default-deny.
        statements: The most important first.
        renamed: For `namespace/name` of each policy whose own name another has that netpol did not write, that name.
        rules: How many rules all policies have.
        rules_lower_bound: No policies for the same subjects that allow exactly the same have fewer.
        selectors: How many selectors name the policies' pods and peers.
        entrances: Where the outside comes in to the workloads that got policies.
    """

    policies: tuple[NetworkPolicy, ...]
    subjects: Mapping[str, tuple[WorkloadRef, ...]]
    statements: tuple[Statement, ...]
    renamed: Mapping[str, str]
    rules: int
    rules_lower_bound: int
    selectors: int
    entrances: Entrances


@dataclass(frozen=True, slots=True)
class _Subject:
    """Workloads that one selector names: one, or twins that labels cannot tell apart."""

    namespace: str
    selectors: tuple[LabelSelector, ...]
    workloads: tuple[WorkloadRef, ...]


def generate(graph: LabelGraph, inventory: Inventory, selectors: Selectors, options: Options = Options()) -> Generated:
    """Writes the policies. The same graph and inventory give the same policies, byte for byte."""
    scope = Scope(options, inventory)
    subjects = _subjects(graph, selectors, scope)
    names = _Names([*inventory.workloads, *(pod.workload for pod in inventory.pods), *graph.workloads()], options)
    policies: list[NetworkPolicy] = []
    owners: dict[str, tuple[WorkloadRef, ...]] = {}
    written: dict[WorkloadRef, NetworkPolicy] = {}
    rules = bound = 0
    entrances = entrances_of(graph, inventory, options)
    for subject in subjects:
        incoming = [pair for workload in subject.workloads for pair in entrances.incoming(graph, workload)]
        outgoing = [(edge.destination, edge) for workload in subject.workloads for edge in graph.outgoing(workload)]
        ingress = rules_for(subject.namespace, incoming, selectors)
        egress = rules_for(subject.namespace, outgoing, selectors)
        both = options.directions is Directions.BOTH
        for index, selector in enumerate(subject.selectors):
            policy = NetworkPolicy(
                namespace=subject.namespace,
                name=names.of(subject.workloads[0], index),
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
            if not any(closes_everything(policy, namespace) for policy in options.foreign):
                deny = default_deny(namespace, names.default_deny(namespace))
                policies.append(deny)
                owners[str(deny)] = ()
    policies.sort(key=lambda policy: (policy.namespace, policy.name))
    return Generated(
        policies=tuple(policies),
        subjects={str(policy): owners[str(policy)] for policy in policies},
        statements=with_entrances(
            statements_for(graph, inventory, selectors, written, scope.why_not), entrances.of(written), options, written
        ),
        renamed=names.renamed,
        rules=rules,
        rules_lower_bound=bound,
        selectors=len(_distinct_selectors(graph, selectors, policies)),
        entrances=entrances.of(written),
    )


def default_deny(namespace: str, name: str = DEFAULT_DENY) -> NetworkPolicy:
    """Closes everything in a namespace that no other policy allows: the one place where every pod is meant."""
    return NetworkPolicy(
        namespace=namespace,
        name=name,
        pod_selector=LabelSelector(),
        isolates_ingress=True,
        isolates_egress=True,
        labels=MANAGED_BY,
    )


def closes_everything(policy: NetworkPolicy, namespace: str) -> bool:
    """Whether the policy is a default-deny of the namespace, whatever its name."""
    return (
        policy.namespace == namespace
        and policy.pod_selector.is_empty
        and policy.isolates_ingress
        and policy.isolates_egress
        and not policy.ingress
        and not policy.egress
    )


class _Names:
    """The names of the policies that are written."""

    def __init__(self, workloads: list[WorkloadRef], options: Options) -> None:
        self._foreign = {(policy.namespace, policy.name) for policy in options.foreign}
        self._names = policy_names(workloads, self._foreign)
        self._own = policy_names(workloads) if self._foreign else self._names
        self._taken = {*self._foreign, *((ref.namespace, name) for ref, name in self._names.items())}
        self.renamed: dict[str, str] = {}

    def of(self, workload: WorkloadRef, index: int) -> str:
        """The name of a workload's policy number `index`."""
        place, name = workload.namespace, numbered(self._names[workload], index)
        if index:
            name = self._free(place, name, f"{workload} {index}")
        own = numbered(self._own[workload], index)
        if own != name and (place, own) in self._foreign:
            self.renamed[f"{place}/{name}"] = f"{place}/{own}"
        return name

    def default_deny(self, namespace: str) -> str:
        """The name of a namespace's default-deny."""
        name = self._free(namespace, DEFAULT_DENY, f"{namespace} {DEFAULT_DENY}")
        if name != DEFAULT_DENY:
            self.renamed[f"{namespace}/{name}"] = f"{namespace}/{DEFAULT_DENY}"
        return name

    def _free(self, namespace: str, name: str, identity: str) -> str:
        if (namespace, name) in self._taken:
            name = another_name(name, identity, lambda other: (namespace, other) in self._taken)
        self._taken.add((namespace, name))
        return name


def _subjects(graph: LabelGraph, selectors: Selectors, scope: Scope) -> list[_Subject]:
    """Whom to write policies for; workloads with the very same selectors share one."""
    sharing: defaultdict[tuple[str, tuple[LabelSelector, ...]], list[WorkloadRef]] = defaultdict(list)
    for workload in graph.workloads():
        selection = selectors.of(workload)
        if not scope.why_not(workload) and selection.naming is not Naming.NONE:
            sharing[workload.namespace, selection.selectors].append(workload)
    return [_Subject(namespace, found, tuple(sorted(who))) for (namespace, found), who in sharing.items()]


def _distinct_selectors(
    graph: LabelGraph, selectors: Selectors, policies: Iterable[NetworkPolicy]
) -> set[tuple[str, LabelSelector]]:
    used = {(policy.namespace, policy.pod_selector) for policy in policies}
    for workload in graph.workloads():
        used.update((workload.namespace, selector) for selector in selectors.of(workload).selectors)
    return used
