"""`netpol list`: every connection a policy set allows."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from netpol.policy.connectivity import Connectivity
    from netpol.policy.connectivity_list import Listing, Row

NAMED = 5
"""Of the workloads that a warning is about, this many are named."""


class Format(StrEnum):
    """How the rows are printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    MD = "md"
    DOT = "dot"


def list_(
    policies: options.PolicySet,
    cluster: options.ClusterPaths = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the rows are printed.")] = Format.TEXT,
    namespace: options.Namespaces = None,
    all_namespaces: options.AllNamespaces = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List every connection that a policy set allows between workloads, and to and from addresses outside.

    A row for two workloads holds for all their pods. Workloads that have no pods yet are judged by their templates.
    With -n, the rows in which either end is in the namespace.
    """
    from netpol.cli.list_render import render
    from netpol.cli.observe import ClusterChoice, read_inventory, refuse_shared_stdin
    from netpol.cli.policies import read_policy_set
    from netpol.cli.tier_notes import warn_of_names
    from netpol.policy.connectivity import Connectivity
    from netpol.policy.connectivity_list import list_allowed

    paths = cluster or []
    refuse_shared_stdin(policies, paths)
    wanted = options.chosen_namespaces(namespace, everything=all_namespaces)
    policy_set = read_policy_set(policies)
    inventory = read_inventory(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    connectivity = Connectivity.of(policy_set, inventory)
    listing = list_allowed(connectivity)
    rows = [row for row in listing.rows if _is_wanted(row, wanted)]
    for piece in render(output.value, rows):
        sys.stdout.write(piece)
    _account(rows, listing, connectivity, wanted)
    warn_of_names(policy_set)


def _is_wanted(row: Row, namespaces: Collection[str] | None) -> bool:
    return namespaces is None or row.source.namespace in namespaces or row.destination.namespace in namespaces


def _account(rows: Iterable[Row], listing: Listing, connectivity: Connectivity, wanted: Collection[str] | None) -> None:
    """Says on stderr how the rows are to be read."""
    from netpol.cli.observe import warn
    from netpol.policy.classes_pods import is_representative

    for name in sorted((wanted or set()) - connectivity.partition.sides[0].inventory.namespaces.keys()):
        warn(f"the cluster has no namespace {name}")
    differing = [place.text for place in listing.differing if wanted is None or place.namespace in wanted]
    if differing:
        warn(f"replicas of {_named(differing)} are not allowed the same: where they differ, they are listed pod by pod")
    templates = sum(is_representative(member.pod) for member in connectivity.partition.members)
    if templates:
        note = "workloads have no pods and were judged by their templates: no ipBlock matches them"
        sys.stderr.write(f"netpol: {templates:,} {note}\n")
    own = sum(row.always for row in rows)
    if own:
        note = "rows are between pods and hostNetwork pods of their own node: no policy can forbid them"
        sys.stderr.write(f"netpol: {own:,} {note}\n")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
