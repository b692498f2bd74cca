"""`netpol graph`: the flow graph to look at."""

from __future__ import annotations

import sys
from enum import StrEnum
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netpol.cli.observe import Cluster, Reading
    from netpol.egress.naming import Naming
    from netpol.model.tiers import Policy
    from netpol.view.flow_graph import FlowGraph
    from netpol.view.narrow import Wanted


class Format(StrEnum):
    """How the graph is printed."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"
    GRAPHML = "graphml"
    GEXF = "gexf"
    CYTOSCAPE = "cytoscape"
    CSV = "csv"
    HTML = "html"


DRAWN = frozenset({Format.TEXT, Format.MERMAID, Format.DOT})
"""Formats for the eye, which leave out what no policy can speak of."""


class StateName(StrEnum):
    """What an edge is: the values of `netpol.view.flow_graph.State`, which is imported only when the command runs."""

    USED = "allowed-used"
    NEW = "new"
    DENIED = "denied"
    UNUSED = "allowed-unused"
    QUARANTINED = "quarantined"
    EXEMPT = "not-for-policies"


def graph(
    captures: options.Captures,
    cluster: options.ClusterPaths = None,
    policies: options.JudgingPolicies = None,
    old: options.OldPolicies = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the graph is printed.")] = Format.TEXT,
    namespace: options.Namespaces = None,
    all_namespaces: options.AllNamespaces = False,
    selector: Annotated[
        str | None,
        typer.Option(
            "-l",
            "--selector",
            metavar="SELECTOR",
            help="Only workloads with these labels, and what they are connected with.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        list[StateName] | None,
        typer.Option("--state", help="Only edges in this state. Repeatable.", show_default=False),
    ] = None,
    min_connections: Annotated[
        int,
        typer.Option("--min-connections", metavar="N", min=0, help="Only edges that were seen at least so often."),
    ] = 0,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    since: options.Since = None,
    until: options.Until = None,
    strict: options.Strict = False,
    engine: options.Engine = "",
) -> None:
    """Show who talks to whom, and what a policy set makes of it.

    Each edge is allowed and used, new, denied, allowed but unused, or quarantined with its reason. text, mermaid and
    dot leave out what no policy can speak of, such as ICMP, unless --state asks for it. html is a page that works
    offline: save it as a file and open it in a browser.
    """
    from netpol.cli.observe import (
        ClusterChoice,
        cluster_of,
        cluster_paths,
        read,
        refuse_shared_stdin,
        warn,
        warn_of_unknown_namespaces,
    )
    from netpol.cli.policies import read_policy_set
    from netpol.cli.times import span_of
    from netpol.model.selector_text import parse_selector
    from netpol.names.table import Names
    from netpol.view import page
    from netpol.view.flow_graph import State
    from netpol.view.narrow import Wanted, narrowed

    if output is Format.HTML:
        page.require()
    paths = cluster_paths(cluster, captures, context, kubeconfig)
    refuse_shared_stdin(captures, paths, policies or [], old or [])
    wanted = Wanted(
        namespaces=options.chosen_namespaces(namespace, everything=all_namespaces),
        selector=parse_selector(selector) if selector else None,
        states=frozenset(State(one.value) for one in state) if state else None,
        connections=min_connections,
    )
    named = read_policy_set(policies) if policies else None
    before = read_policy_set(old) if old else None
    known = cluster_of(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    warn_of_unknown_namespaces(wanted.namespaces, known)
    names = Names()
    reading = read(captures, known, names=names, span=span_of(since, until), strict=strict, engine=engine)
    whole = flow_graph(reading, known, named, before, names)
    if whole.unused_dropped:
        warn(f"{whole.unused_dropped:,} more edges are allowed and unused, and are not shown")
    _print(narrowed(whole, wanted), output, wanted, everything=bool(state))
    raise typer.Exit(reading.exit_code)


def flow_graph(
    reading: Reading,
    cluster: Cluster,
    policies: Sequence[Policy] | None,
    old: Sequence[Policy] | None,
    names: Naming,
) -> FlowGraph:
    """The graph of what was read, judged by these policies, or by those that it teaches where there are none."""
    from netpol.graph.admit import admit
    from netpol.graph.label_graph import LabelGraph
    from netpol.graph.selectors import Selectors
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.generate import generate
    from netpol.view.assemble import Judging, assemble
    from netpol.view.gather import Gatherer
    from netpol.view.outside_names import outside_names
    from netpol.view.time_bins import window_of

    inventory = cluster.inventory
    selectors = Selectors(inventory)
    judge = None if policies is None else Evaluator(policies, inventory)
    gatherer = Gatherer(window_of(reading.table), judge)
    flows = reading.resolved(cluster)
    admission = admit(flows, inventory, selectable=selectors.selectable, watch=gatherer.watch)
    if policies is not None:
        judging = Judging(policies=policies, by="given", old=old)
    else:
        learned = generate(LabelGraph.of(admission, inventory), inventory, selectors).policies
        judging = Judging(policies=learned, by="learned", old=old)
    called = outside_names(admission.observations, names, inventory)
    return assemble(gatherer, admission, inventory, judging, called)


def _print(graph: FlowGraph, output: Format, wanted: Wanted, *, everything: bool) -> None:
    from netpol.cli import graph_text
    from netpol.view.as_json import json_pieces
    from netpol.view.csv_edges import csv_lines
    from netpol.view.dot import dot_pieces
    from netpol.view.mermaid import mermaid
    from netpol.view.page import page_pieces
    from netpol.view.tree import Glyphs, tree

    if output is Format.TEXT:
        glyphs = Glyphs.for_encoding(sys.stdout.encoding)
        graph_text.write(tree(graph, glyphs, shown=wanted.node, everything=everything), sys.stdout)
    elif output is Format.JSON:
        sys.stdout.writelines(json_pieces(graph))
    elif output is Format.HTML:
        sys.stdout.writelines(page_pieces(graph))
    elif output is Format.MERMAID:
        sys.stdout.write(mermaid(graph, everything=everything))
    elif output is Format.DOT:
        sys.stdout.writelines(dot_pieces(graph, everything=everything))
    elif output is Format.CSV:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(newline="")  # RFC 4180 ends lines itself
        sys.stdout.writelines(csv_lines(graph))
    else:
        from netpol.view import networks

        write = {Format.GRAPHML: networks.graphml, Format.GEXF: networks.gexf, Format.CYTOSCAPE: networks.cytoscape}
        sys.stdout.write(write[output](graph))
    for line in graph_text.account(graph, drawn_whole=everything or output not in DRAWN):
        sys.stderr.write(f"{line}\n")
