"""`netpol explain`: why one connection is allowed or denied."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from netpol.cli import options

DENIED = 1
"""Exit code when the connection is denied, between some of the replicas at least."""

_END = "namespace/name of a pod or workload, namespace/name[Kind], or an address."


class Format(StrEnum):
    """How the answer is printed."""

    TEXT = "text"
    JSON = "json"


def explain(
    source: Annotated[str, typer.Argument(metavar="SRC", help=f"Who opens it: {_END}", show_default=False)],
    destination: Annotated[str, typer.Argument(metavar="DST", help=f"Who serves it: {_END}", show_default=False)],
    port: Annotated[
        str,
        typer.Argument(
            metavar="PORT",
            help="The port at the destination itself: 8080 (TCP), UDP/53, or TCP/http by its name.",
            show_default=False,
        ),
    ],
    policies: options.PolicyPaths,
    cluster: options.ClusterPaths = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the answer is printed.")] = Format.TEXT,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Explain why one connection is allowed (exit code 0) or denied (exit code 1).

    A workload stands for all its pods. Where they get different answers, each is listed, and the exit code is 1.
    """
    from netpol.cli.explain_render import render
    from netpol.cli.observe import ClusterChoice, read_inventory, refuse_shared_stdin
    from netpol.cli.policies import read_written
    from netpol.review.ends import Ends, parse_port
    from netpol.review.explain import explain as answer

    paths = cluster or []
    refuse_shared_stdin(policies, paths)
    asked = parse_port(port)
    written = read_written(policies)
    inventory = read_inventory(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    ends = Ends(inventory)
    explanation = answer(ends.find(source), ends.find(destination), asked, [item.policy for item in written], inventory)
    places = {str(item.policy): item.place for item in written}
    for piece in render(output.value, explanation, places):
        sys.stdout.write(piece)
    if not explanation.allowed:
        raise typer.Exit(DENIED)
