"""`netpol learn`: captures to policies, proven by replay."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from netpol.cli import options


class Directions(StrEnum):
    """Which directions a policy closes."""

    BOTH = "both"
    OBSERVED = "observed"


def learn(
    captures: options.Captures,
    cluster: options.ClusterPaths = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "-d",
            "--directory",
            metavar="DIR",
            help="Write DIR/NAMESPACE/NAME.yaml, kustomization.yaml and summary.json instead of YAML on stdout.",
            show_default=False,
        ),
    ] = None,
    namespace: options.Namespaces = None,
    all_namespaces: options.AllNamespaces = False,
    directions: Annotated[
        Directions,
        typer.Option(
            "--directions",
            help="both: a direction in which a workload was never seen is closed. observed: it stays open.",
        ),
    ] = Directions.BOTH,
    default_deny: Annotated[
        bool,
        typer.Option(
            "--default-deny",
            help="Add to each namespace that gets policies one that closes every pod without one of its own.",
        ),
    ] = False,
    system: Annotated[
        bool, typer.Option("--system", help="Write policies for kube-system and its like too, not only about them.")
    ] = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Learn the policies that admit exactly what the captures show.

    Each workload that was seen gets one policy. Every learned connection is replayed against the result before
    anything is written. YAML goes to stdout or to -d DIR, the account of what was used and what was left out to stderr.
    """
    from netpol.cli.account import account_lines
    from netpol.cli.observe import (
        ClusterChoice,
        cluster_of,
        read,
        refuse_shared_stdin,
        warn,
        warn_of_unknown_namespaces,
    )
    from netpol.cli.output import write_directory
    from netpol.cli.summary import summary_of
    from netpol.dialects.kubernetes import to_files, to_yaml
    from netpol.graph.admit import admit
    from netpol.graph.label_graph import LabelGraph
    from netpol.graph.selectors import Selectors
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.generate import Directions as Isolation
    from netpol.policy.generate import Options, generate
    from netpol.policy.replay import replay
    from netpol.policy.tightness import tightness

    paths = cluster or []
    refuse_shared_stdin(captures, paths)
    choice = Options(
        directions=Isolation(directions.value),
        default_deny=default_deny,
        namespaces=options.chosen_namespaces(namespace, everything=all_namespaces),
        system=system,
    )
    known = cluster_of(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    warn_of_unknown_namespaces(choice.namespaces, known)
    reading = read(captures, known)
    selectors = Selectors(known.inventory)
    admission = admit(reading.resolved(known), known.inventory, selectable=selectors.selectable)
    graph = LabelGraph.of(admission, known.inventory)
    generated = generate(graph, known.inventory, selectors, choice)
    proof = replay(admission.observations, Evaluator(generated.policies, known.inventory))
    proof.prove()
    figures = tightness(graph, known.inventory, generated.policies)
    summary = summary_of(reading, known.inventory, admission, graph, generated, proof, figures)
    nodes = {address: node.name for node in known.inventory.nodes for address in node.addresses}
    if directory is None:
        sys.stdout.write(to_yaml(generated.policies, nodes=nodes))
    else:
        write_directory(directory, to_files(generated.policies, nodes=nodes), summary)
    if not generated.policies:
        whose = " of a namespace that policies are written for" if len(graph) else ""
        warn(f"no policy was written: no connection{whose} was learned")
    for line in account_lines(summary):
        sys.stderr.write(f"{line}\n")
    raise typer.Exit(reading.exit_code)
