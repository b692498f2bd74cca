"""From flows to judged policies in one call, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netpol.graph.admit import Admission, admit
from netpol.graph.label_graph import LabelGraph
from netpol.graph.selectors import Selectors
from netpol.policy.evaluate import Evaluator
from netpol.policy.generate import Generated, Options, generate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.inventory import Inventory
    from netpol.model.policy import NetworkPolicy


@dataclass(frozen=True, slots=True)
class Learned:
    admission: Admission
    graph: LabelGraph
    generated: Generated
    evaluator: Evaluator

    def policy(self, name: str) -> NetworkPolicy:
        return next(policy for policy in self.generated.policies if str(policy) == name)

    def names(self) -> list[str]:
        return [str(policy) for policy in self.generated.policies]

    def said(self) -> list[tuple[str, str, str]]:
        return [(item.topic.identifier, item.workload.name, item.direction) for item in self.generated.statements]


def learn(flows: Iterable[ResolvedFlow], inventory: Inventory, options: Options | None = None) -> Learned:
    selectors = Selectors(inventory)
    admission = admit(flows, inventory, selectable=selectors.selectable)
    graph = LabelGraph.of(admission, inventory)
    generated = generate(graph, inventory, selectors, options or Options())
    return Learned(admission, graph, generated, Evaluator(generated.policies, inventory))
