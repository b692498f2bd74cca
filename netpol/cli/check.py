"""`netpol check`: which observed flows a policy set would deny."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.model.endpoint import ResolvedFlow
    from netpol.model.flow import Address, Outcome
    from netpol.policy.replay import Blocked, Check, Unresolved

DENIED = 1
"""Exit code when a flow would be denied."""


class Format(StrEnum):
    """How the answer is printed."""

    TABLE = "table"
    JSON = "json"
    MD = "md"


class Gate(StrEnum):
    """What makes the exit code 1."""

    DENIED = "denied"
    WORKED = "worked"


def check(
    captures: options.Captures,
    policies: options.PolicyPaths,
    cluster: options.ClusterPaths = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the answer is printed.")] = Format.TABLE,
    fail_on: Annotated[
        Gate,
        typer.Option(
            "--fail-on",
            help="Exit with 1 when any flow is denied, or only when one is that worked: captures often hold attempts "
            "that failed without any policy.",
        ),
    ] = Gate.DENIED,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    since: options.Since = None,
    until: options.Until = None,
    strict: options.Strict = False,
    engine: options.Engine = "",
) -> None:
    """Say which observed flows a policy set would deny. Exit code 1 if there are any.

    A flow whose ends or direction are not known is not judged but listed as unresolved.
    """
    from netpol.cli.observe import ClusterChoice, cluster_of, cluster_paths, read, refuse_shared_stdin
    from netpol.cli.policies import read_policy_set
    from netpol.cli.times import span_of
    from netpol.model.flow import Outcome
    from netpol.policy.evaluate import Evaluator
    from netpol.policy.replay import check as judge

    paths = cluster_paths(cluster, captures, context, kubeconfig)
    refuse_shared_stdin(captures, policies, paths)
    policy_set = read_policy_set(policies)
    known = cluster_of(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    reading = read(captures, known, span=span_of(since, until), strict=strict, engine=engine)
    result = judge(reading.resolved(known), Evaluator(policy_set, known.inventory))
    if output is Format.JSON:
        json.dump(as_json(result), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for line in _table(result) if output is Format.TABLE else _markdown(result):
            sys.stdout.write(f"{line}\n")
    denied, unresolved = _connections(result.denied), _connections(result.unresolved)
    working = _connections(
        item for item in result.denied if item.flow.flow.outcome in {Outcome.ESTABLISHED, Outcome.MIDSTREAM}
    )
    sys.stderr.write(
        f"{result.connections:,} connections: {result.admitted:,} admitted, {denied:,} denied "
        f"({working:,} had worked), {unresolved:,} unresolved\n"
    )
    fails = working if fail_on is Gate.WORKED else denied
    raise typer.Exit(reading.exit_code or (DENIED if fails else 0))


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


DENIED_HEADING = ("SOURCE", "DESTINATION", "PORTS", "CONNECTIONS", "OUTCOME", "BLOCKED-BY", "POLICIES")
UNRESOLVED_HEADING = ("SOURCE", "DESTINATION", "PORTS", "CONNECTIONS", "OUTCOME", "BECAUSE")
PORTS_SHOWN = 8


def _table(result: Check) -> Iterator[str]:
    from netpol.cli.text import columns

    if result.denied:
        yield "Denied:"
        yield from columns(DENIED_HEADING, _denied_rows(result.denied))
    if result.unresolved:
        yield from ("", "Unresolved:") if result.denied else ("Unresolved:",)
        yield from columns(UNRESOLVED_HEADING, _unresolved_rows(result.unresolved))


def _markdown(result: Check) -> Iterator[str]:
    from netpol.cli.text import markdown_table

    unresolved = f", {_connections(result.unresolved):,} not judged" if result.unresolved else ""
    yield f"{_connections(result.denied):,} of {result.connections:,} connections denied{unresolved}"
    if result.denied:
        yield ""
        yield from markdown_table(DENIED_HEADING, _denied_rows(result.denied))
    if result.unresolved:
        yield ""
        yield from markdown_table(UNRESOLVED_HEADING, _unresolved_rows(result.unresolved))


def _denied_rows(items: Sequence[Blocked]) -> Iterator[tuple[str, ...]]:
    seen = (
        (
            item.flow,
            str(item.destination.end),
            item.destination.port,
            (item.blocked_by, ",".join(map(str, item.policies))),
        )
        for item in items
    )
    return _grouped(seen)


def _unresolved_rows(items: Sequence[Unresolved]) -> Iterator[tuple[str, ...]]:
    return _grouped((item.flow, item.flow.destination_text, item.flow.flow.port, (item.reason,)) for item in items)


def _grouped(
    flows: Iterable[tuple[ResolvedFlow, str, int | None, tuple[str, ...]]],
) -> Iterator[tuple[str, ...]]:
    """One row for all ports of one pair and one verdict: what had worked first, because that is what would break."""
    groups: dict[tuple[Any, ...], dict[tuple[int, int | None], int]] = {}
    for resolved, destination, port, verdict in flows:
        row = resolved.flow
        ends = (_with_address(resolved.source_text, row.client), _with_address(destination, row.server))
        ports = groups.setdefault((_worked(row.outcome), *ends, row.outcome.label, verdict), {})
        ports[row.protocol, port] = ports.get((row.protocol, port), 0) + row.connections
    for (_, source, destination, outcome, verdict), ports in sorted(groups.items()):
        yield source, destination, _ports(ports), f"{sum(ports.values()):,}", outcome, *verdict


def _worked(outcome: Outcome) -> int:
    from netpol.model.flow import Outcome

    order = (Outcome.ESTABLISHED, Outcome.MIDSTREAM, Outcome.UNKNOWN, Outcome.REFUSED, Outcome.UNANSWERED)
    return order.index(outcome)


def _with_address(end: str, address: Address) -> str:
    return f"{end} {address}" if end in {"external", "unknown", "ambiguous"} else end


def _ports(ports: Iterable[tuple[int, int | None]]) -> str:
    from netpol.model.flow import protocol_name

    ordered = sorted(ports, key=lambda item: (item[0], item[1] or 0))
    words = [
        protocol_name(protocol) if port is None else f"{protocol_name(protocol)}/{port}" for protocol, port in ordered
    ]
    more = f" and {len(words) - PORTS_SHOWN} more" if len(words) > PORTS_SHOWN else ""
    return ",".join(words[:PORTS_SHOWN]) + more


def _connections(items: Iterable[Blocked | Unresolved]) -> int:
    return sum(item.flow.flow.connections for item in items)
