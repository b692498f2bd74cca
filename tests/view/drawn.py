"""From flows to a flow graph in one call, and graphs with hostile text in every place, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.graph.admit import admit
from netpol.graph.label_graph import LabelGraph, Replicas
from netpol.graph.observation import Evidence
from netpol.graph.selectors import Selectors
from netpol.model.flow import TCP, Direction, Outcome
from netpol.model.ports import PortMap, PortSet
from netpol.policy.evaluate import Evaluator
from netpol.policy.generate import generate
from netpol.policy.verdict import Ruling
from netpol.view.assemble import Judging, assemble
from netpol.view.flow_graph import FlowEdge, FlowGraph, FlowNode, RuleRef, Sighting, State
from netpol.view.gather import Gatherer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.inventory import Inventory
    from netpol.model.tiers import Policy


def graph_of(
    flows: Iterable[ResolvedFlow],
    inventory: Inventory,
    policies: Sequence[Policy] | None = None,
    old: Sequence[Policy] | None = None,
) -> FlowGraph:
    """Judged by these policies, or by those that the flows teach."""
    flows = list(flows)
    times = [time for item in flows for time in (item.flow.first_seen, item.flow.last_seen)]
    gatherer = Gatherer(
        (min(times), max(times)) if times else None, None if policies is None else Evaluator(policies, inventory)
    )
    selectors = Selectors(inventory)
    admission = admit(flows, inventory, selectable=selectors.selectable, watch=gatherer.watch)
    if policies is None:
        policies = generate(LabelGraph.of(admission, inventory), inventory, selectors).policies
        return assemble(gatherer, admission, inventory, Judging(policies=policies, by="learned", old=old))
    return assemble(gatherer, admission, inventory, Judging(policies=policies, by="given", old=old))


def states(graph: FlowGraph) -> set[tuple[str, str, str, str, str]]:
    """(source, destination, label, state, reason) of every edge."""
    return {(edge.source, edge.destination, edge.label, edge.state.value, edge.reason) for edge in graph.edges}


def only(graph: FlowGraph, source: str, destination: str, label: str) -> FlowEdge:
    """The one edge with these ends and ports."""
    wanted = (source, destination, label)
    (found,) = (edge for edge in graph.edges if (edge.source, edge.destination, edge.label) == wanted)
    return found


HOSTILE = (
    "<script>alert(1)</script>",
    "](javascript:alert(1))",
    "```\n# heading",
    "a|b|c",
    "::error::file=x",
    "\n::error::file=x",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe\u2066",
    "nul\x00 \x85\u2028 \x7f",
    "\ud800\ufffe",
    '"];evil->y[label="',
    "\\N\\l\\",
    "&lt;script&gt;&amp;",
    '=HYPERLINK("http://x")',
    "%%{init: {}}%%",
    "end",
    'click n0 href "javascript:x"',
    "]]>",
    "#quot;",
)
"""What an attacker would put into a name or a label, if names were not checked."""


def hostile(text: str) -> FlowGraph:
    """A graph with this text wherever a text can be."""
    ids = (f"{text}[Deployment]", f"external {text}", text)
    nodes = tuple(
        FlowNode(
            id=name,
            kind=text,
            name=text,
            namespace=text if name.endswith("]") else "",
            labels={text: text},
            pods=Replicas((text,), 1),
            nodes=(text,),
            addresses=(text,),
            address_count=1,
            names=(text,),
            policies=(text,),
        )
        for name in ids
    )
    evidence = Evidence(
        connections=1,
        packets=2,
        bytes=3,
        first_seen=0,
        last_seen=1,
        directions=((Direction.SYN, 1),),
        services=(text,),
    )
    seen = Sighting(
        evidence=evidence,
        outcomes=((Outcome.ESTABLISHED, 1),),
        source_pods=Replicas((text,), 1),
        nodes=(text,),
        active=1,
    )
    edges = tuple(
        FlowEdge(
            source=ids[0],
            destination=destination,
            state=State.QUARANTINED,
            protocols=(TCP,),
            ports=PortMap.of({TCP: PortSet.of(80)}),
            reason=text,
            sighting=seen,
            ruling=Ruling.DENIED,
            admitted_by=(RuleRef(policy=text, way="egress", rule=0),),
            blocked_by="egress",
            blocking=(text,),
        )
        for destination in ids[1:]
    )
    return FlowGraph(judged_by="given", compared=False, nodes=nodes, edges=edges, unseen=(text,), left_out={text: 1})


def is_tame(text: str) -> bool:
    """Whether nothing in it drives a terminal, reorders what is read, or commands a CI runner."""
    lines = text.split("\n")
    printable = all(line.isprintable() for line in (item.removesuffix("\r") for item in lines))
    return printable and not any(line.lstrip().startswith("::") for line in lines)
