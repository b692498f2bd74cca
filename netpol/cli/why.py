"""`netpol why`: the evidence behind every rule of a policy."""

from __future__ import annotations

import json
import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netpol.cli.observe import Cluster, Reading
    from netpol.graph.admit import Admission, Watcher
    from netpol.model.policy import NetworkPolicy
    from netpol.policy.verdict import Way
    from netpol.review.trace import Trace, TracedEdge


class Format(StrEnum):
    """How the evidence is printed."""

    TEXT = "text"
    JSON = "json"


_NAME = re.compile(r"(?P<policy>[^:/]+/[^:/]+)(?::(?:spec\.)?(?P<way>ingress|egress)(?:\[(?P<rule>[0-9]{1,6})\])?)?")


def why(
    policy: Annotated[
        str,
        typer.Argument(
            metavar="POLICY[:RULE]",
            help="NAMESPACE/NAME, for one rule with its direction and index: shop/web:ingress[0].",
            show_default=False,
        ),
    ],
    captures: options.Captures,
    cluster: options.ClusterPaths = None,
    policies: Annotated[
        list[str] | None,
        typer.Option(
            "--policies",
            metavar="PATH",
            help="Where the policy is: a file or folder, or -. Repeatable. Without it, it is one that `netpol learn` "
            "would write.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the evidence is printed.")] = Format.TEXT,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    since: options.Since = None,
    until: options.Until = None,
    strict: options.Strict = False,
    engine: options.Engine = "",
) -> None:
    """Trace every rule of a policy to the connections that it is there for.

    For each: how many, first and last seen, by which pods and nodes, how the direction is known, through which Service.
    A rule that nothing exercised is told so, with what it admits that was seen and not learned.
    """
    from netpol.cli.observe import ClusterChoice, cluster_of, cluster_paths, read, refuse_shared_stdin
    from netpol.cli.policies import read_policy_set
    from netpol.cli.times import span_of

    wanted = Wanted.parse(policy)
    paths = cluster_paths(cluster, captures, context, kubeconfig)
    refuse_shared_stdin(captures, paths, policies or [])
    named = read_policy_set(policies) if policies else None
    known = cluster_of(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    reading = read(captures, known, span=span_of(since, until), strict=strict, engine=engine)
    found = _learned(reading, known) if named is None else _namespaced(named)
    traces = [trace for trace in _traces(wanted, found, reading, known) if wanted.includes(trace)]
    _refuse_missing(wanted, traces)
    sys.stdout.writelines(_json(wanted, traces) if output is Format.JSON else _text(wanted, traces))
    raise typer.Exit(reading.exit_code)


class Wanted(NamedTuple):
    """What was asked about; the rule is None for all, its direction too."""

    policy: str
    way: Way | None
    rule: int | None

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """The argument.

        Raises:
            UsageError: It names no policy.
        """
        from netpol.errors import UsageError
        from netpol.model.text import shown

        match = _NAME.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{shown(text)} names no policy", remedy="Write NAMESPACE/NAME, or NAMESPACE/NAME:ingress[0]"
            )
        ways: dict[str | None, Way | None] = {"ingress": "ingress", "egress": "egress"}
        rule = match["rule"]
        return cls(match["policy"], ways.get(match["way"]), None if rule is None else int(rule))

    def includes(self, trace: Trace) -> bool:
        """Whether the rule is asked about."""
        return self.way in {None, trace.key.way} and self.rule in {None, trace.key.rule}


def _learned(reading: Reading, known: Cluster) -> tuple[NetworkPolicy, ...]:
    from netpol.graph.label_graph import LabelGraph
    from netpol.graph.selectors import Selectors
    from netpol.policy.generate import Options, generate

    inventory = known.inventory
    graph = LabelGraph.of(_admitted(reading, known), inventory)
    return generate(graph, inventory, Selectors(inventory), Options(system=True)).policies


def _namespaced(policies: Sequence[object]) -> tuple[NetworkPolicy, ...]:
    from netpol.model.policy import NetworkPolicy

    return tuple(policy for policy in policies if isinstance(policy, NetworkPolicy))


def _admitted(reading: Reading, known: Cluster, watch: Watcher | None = None) -> Admission:
    """As `learn` admits."""
    from netpol.graph.admit import admit
    from netpol.graph.selectors import Selectors
    from netpol.threats.guard import Guard
    from netpol.threats.sensitive import Sensitive

    guard = Guard.of((), None, Sensitive(frozenset()))
    more: dict[str, Callable[..., None]] = {} if watch is None else {"watch": watch}
    selectable = Selectors(known.inventory).selectable
    return admit(reading.resolved(known), known.inventory, selectable=selectable, bar=guard.bar, **more)


def _traces(wanted: Wanted, policies: Sequence[NetworkPolicy], reading: Reading, known: Cluster) -> tuple[Trace, ...]:
    from difflib import get_close_matches

    from netpol.errors import InputError
    from netpol.model.text import shown
    from netpol.policy.existing_rules import RuleBook
    from netpol.review.trace import Tracer

    names = {str(policy): policy for policy in policies}
    policy = names.get(wanted.policy)
    if policy is None:
        close = get_close_matches(wanted.policy, names, n=3, cutoff=0.5)
        raise InputError(
            f"there is no policy {shown(wanted.policy)}",
            remedy=f"Did you mean {', '.join(close)}?" if close else f"There are {len(names):,}: see `netpol learn`",
        )
    tracer = Tracer(policy, RuleBook(policies, known.inventory))
    return tracer.trace(_admitted(reading, known, tracer.watch).observations)


def _refuse_missing(wanted: Wanted, traces: Sequence[Trace]) -> None:
    """A rule that was asked for has to be there; a policy without rules is an answer."""
    from netpol.errors import InputError

    if wanted.rule is not None and not traces:
        where = f"spec.{wanted.way}[{wanted.rule}]"
        raise InputError(
            f"there is no rule {where}, or its direction is not one that the policy isolates",
            where=(wanted.policy,),
            remedy=f"`netpol why {wanted.policy}` lists all rules",
        )


def _text(wanted: Wanted, traces: Sequence[Trace]) -> Iterator[str]:
    from netpol.cli.text import plain

    if not traces:
        yield plain(f"{wanted.policy}: no rule admits anything") + "\n"
    for number, trace in enumerate(traces):
        gap = "\n" if number else ""
        yield f"{gap}{plain(str(trace.key))}\n"
        if not trace.edges:
            yield "  nothing exercised it: no connection that was learned is admitted by this rule\n"
        for edge in trace.edges:
            yield from (f"  {plain(line)}\n" for line in _edge(edge))
        if trace.not_learned:
            counts = ", ".join(f"{reason} {count:,}" for reason, count in trace.not_learned.items())
            yield f"  not learned, though it admits them: {plain(counts)}\n"
        if trace.also:
            yield f"  admitted in part by others too: {plain(', '.join(map(str, trace.also)))}\n"


def _edge(edge: TracedEdge) -> Iterator[str]:
    from netpol.cli.review_words import counted, directions, moment, where
    from netpol.model.flow import protocol_name

    evidence = edge.seen.evidence
    yield f"{edge.source} to {edge.destination} {protocol_name(edge.protocol)}/{edge.port}"
    span = f"{moment(evidence.first_seen)} to {moment(evidence.last_seen)}"
    yield f"  {counted(evidence.connections, 'connection')}, {span}"
    yield f"  {where(edge.seen)}"
    for side, pods in (("from", edge.seen.source_pods), ("to", edge.seen.destination_pods)):
        if pods.count:
            more = f" and {pods.count - len(pods.names):,} more" if pods.count > len(pods.names) else ""
            yield f"  {side} {', '.join(pods.names)}{more}"
    yield f"  direction known by {directions(edge.seen)}"
    if evidence.services:
        shared = f"; of {evidence.shared:,} any of its pods may have answered" if evidence.shared else ""
        yield f"  through Service {', '.join(evidence.services)}{shared}"


def _json(wanted: Wanted, traces: Sequence[Trace]) -> Iterator[str]:
    from netpol.cli.review_json import seen_json
    from netpol.model.flow import protocol_name

    rules = [
        {
            "rule": f"spec.{trace.key.way}[{trace.key.rule}]",
            "exercised": bool(trace.edges),
            "edges": [
                {
                    "source": edge.source,
                    "destination": edge.destination,
                    "protocol": protocol_name(edge.protocol),
                    "port": edge.port,
                    "seen": seen_json(edge.seen),
                }
                for edge in trace.edges
            ],
            "not_learned": dict(trace.not_learned),
            "also": [{"policy": key.policy, "rule": f"spec.{key.way}[{key.rule}]"} for key in trace.also],
        }
        for trace in traces
    ]
    yield json.dumps({"policy": wanted.policy, "rules": rules}, indent=2, ensure_ascii=True) + "\n"
