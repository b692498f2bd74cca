"""`netpol check`: which observed flows a policy set would deny."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.model.endpoint import ResolvedFlow
    from netpol.policy.replay import Blocked, Check, Unresolved

DENIED = 1
"""Exit code when a flow would be denied."""


class Format(StrEnum):
    """How the answer is printed."""

    TABLE = "table"
    JSON = "json"
    MD = "md"


def check(
    captures: options.Captures,
    policies: Annotated[
        list[str],
        typer.Option(
            "--policies", metavar="PATH", help="File or folder of NetworkPolicies, or -. Repeatable.", show_default=False
        ),
    ],
    cluster: options.ClusterPaths = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the answer is printed.")] = Format.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Say which observed flows a policy set would deny. Exit code 1 if there are any.

    A flow whose ends or direction are not known is not judged but listed as unresolved.
    """
    from netpol.cli.observe import ClusterChoice, cluster_of, read, refuse_shared_stdin
    from netpol.cli.policies import read_policy_set
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.replay import check as judge

    paths = cluster or []
    refuse_shared_stdin(captures, policies, paths)
    policy_set = read_policy_set(policies)
    known = cluster_of(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    reading = read(captures, known)
    result = judge(reading.resolved(known), Evaluator(policy_set, known.inventory))
    if output is Format.JSON:
        json.dump(as_json(result), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for line in _table(result) if output is Format.TABLE else _markdown(result):
            sys.stdout.write(f"{line}\n")
    unresolved = sum(item.flow.flow.connections for item in result.unresolved)
    denied = sum(item.flow.flow.connections for item in result.denied)
    sys.stderr.write(
        f"{result.connections:,} connections: {result.admitted:,} admitted, {denied:,} denied, {unresolved:,} unresolved\n"
    )
    if result.denied:
        raise typer.Exit(DENIED)


def as_json(result: Check) -> dict[str, Any]:
    """The stable shape: connections = admitted + those denied + those unresolved."""
    return {
        "connections": result.connections,
        "admitted": result.admitted,
        "denied": [
            {
                **_flow(item.flow),
                "destination": str(item.destination.end),
                "blocked_by": item.blocked_by,
                "policies": [str(policy) for policy in item.policies],
            }
            for item in result.denied
        ],
        "unresolved": [{**_flow(item.flow), "reason": item.reason} for item in result.unresolved],
    }


def _flow(resolved: ResolvedFlow) -> dict[str, Any]:
    from netpol.flows.write import FIELDS, values

    return {
        **dict(zip(FIELDS, values(resolved.flow), strict=True)),
        "source": resolved.source_text,
        "destination": resolved.destination_text,
    }


HEADING = ("SOURCE", "DESTINATION", "PORT", "CONNECTIONS", "OUTCOME", "BLOCKED-BY", "POLICIES")


def _table(result: Check) -> Iterator[str]:
    from netpol.cli.text import columns

    if result.denied:
        yield from columns(HEADING, (_denied_row(item) for item in result.denied))
    if result.unresolved:
        if result.denied:
            yield ""
        heading = ("SOURCE", "DESTINATION", "PORT", "CONNECTIONS", "OUTCOME", "UNRESOLVED-BECAUSE")
        yield from columns(heading, (_unresolved_row(item) for item in result.unresolved))


def _markdown(result: Check) -> Iterator[str]:
    from netpol.cli.text import markdown_table

    yield f"{sum(item.flow.flow.connections for item in result.denied):,} of {result.connections:,} connections denied"
    if result.denied:
        yield ""
        yield from markdown_table(HEADING, (_denied_row(item) for item in result.denied))


def _denied_row(item: Blocked) -> Sequence[str]:
    ends = _ends(item.flow, str(item.destination.end), item.destination.port)
    return (*ends, item.blocked_by, ",".join(str(policy) for policy in item.policies))


def _unresolved_row(item: Unresolved) -> Sequence[str]:
    return (*_ends(item.flow, item.flow.destination_text, item.flow.flow.port), item.reason)


def _ends(resolved: ResolvedFlow, destination: str, port: int | None) -> tuple[str, ...]:
    from netpol.model.flow import protocol_name

    row = resolved.flow
    named = {"external": f"external {row.client}", "unknown": f"unknown {row.client}", "ambiguous": f"ambiguous {row.client}"}
    source = resolved.source_text
    there = {name: f"{name} {row.server}" for name in named}
    protocol = protocol_name(row.protocol)
    return (
        named.get(source, source),
        there.get(destination, destination),
        protocol if port is None else f"{protocol}/{port}",
        f"{row.connections}",
        row.outcome.label,
    )
