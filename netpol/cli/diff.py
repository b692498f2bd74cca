"""`netpol diff`: which connections a change adds and removes."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from netpol.policy.difference import Difference

DIFFERENT = 1
"""Exit code when there is a difference, or one of the kinds that were asked for."""


class Format(StrEnum):
    """How the difference is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    MD = "md"


class Gate(StrEnum):
    """Which kind of difference makes the exit code 1."""

    ADDED = "added"
    REMOVED = "removed"


_SIDE = "A file or folder of policies, -, git:REV:PATH, or `live` for what the cluster has now."


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=_SIDE, show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=_SIDE, show_default=False)],
    cluster: options.ClusterPaths = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How the difference is printed.")] = Format.TEXT,
    unified: Annotated[
        bool, typer.Option("--unified", help="Add how the YAML of the policies differs, in one canonical form.")
    ] = False,
    fail_on: Annotated[
        list[Gate] | None,
        typer.Option(
            "--fail-on",
            help="Exit with 1 only when connections are added, or only when they are removed. Repeatable.",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Say which connections a change of policies adds and removes. Exit code 0 if none, 1 if any.

    A side is a whole policy set, cluster-wide policies included. Manifests of workloads beside the policies of a side
    say what the workloads are like there; all others are as --cluster has them.
    """
    from netpol.cli.diff_inputs import Inputs
    from netpol.cli.diff_render import render
    from netpol.cli.observe import ClusterChoice, refuse_shared_stdin
    from netpol.cli.tier_notes import warn_of_missing_tiers, warn_of_names
    from netpol.errors import UsageError
    from netpol.policy.difference import difference

    paths = cluster or []
    refuse_shared_stdin([old], [new], paths)
    if unified and output is Format.CSV:
        raise UsageError("--unified does not fit into csv", remedy="Use text, md or json")
    choice = ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig)
    before, after = Inputs(old, new, choice).sides()
    warn_of_missing_tiers(before.policies, after.policies)
    warn_of_names((*before.policies, *after.policies))
    found = difference(before, after)
    yaml = ""
    if unified:
        from netpol.cli.diff_unified import unified_diff

        yaml = unified_diff(before.policies, after.policies)
    for piece in render(output.value, found, yaml if unified else None):
        sys.stdout.write(piece)
    sys.stderr.write(
        f"{len(found.added):,} connections added, {len(found.removed):,} removed, {len(found.changed):,} changed, "
        f"{len(found.within):,} between replicas\n"
    )
    if _fails(found, fail_on or []):
        raise typer.Exit(DIFFERENT)


def _fails(found: Difference, gates: list[Gate]) -> bool:
    """A changed connection counts as added where it gains ports, as removed where it loses some."""
    if not gates:
        return bool(found)
    return (Gate.ADDED in gates and found.allows_more) or (Gate.REMOVED in gates and found.allows_less)
