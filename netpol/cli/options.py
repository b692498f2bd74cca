"""Options that several commands share, spelled as kubectl spells them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from netpol.model.labels import LabelSelector

Captures = Annotated[
    list[str],
    typer.Argument(
        metavar="CAPTURE...",
        help="pcap or pcapng files (also .gz, .zst), flow logs (Hubble, Calico, Zeek, conntrack, Inspektor Gadget, "
        "AWS, GKE), datasets, folders of them, s3:// or gs:// for a dataset in a bucket, hub://... for a hub, or - for "
        "standard input.",
        show_default=False,
    ),
]
_OWNERS: Final = (
    "Who owns which address: a file or folder of manifests or of `kubectl get -o yaml|json` output, or -. "
    "Repeat it for snapshots of several times."
)
ClusterPaths = Annotated[
    list[str] | None,
    typer.Option(
        "--cluster",
        metavar="PATH",
        help=f"{_OWNERS} Without it the live cluster is asked.",
        show_default=False,
    ),
]
Snapshots = Annotated[
    list[str] | None,
    typer.Option(
        "--cluster",
        metavar="PATH",
        help=_OWNERS,
        show_default=False,
    ),
]
"""Where nobody asks a cluster that is not named."""

PolicySet = Annotated[
    list[str],
    typer.Argument(
        metavar="POLICIES...",
        help="Files or folders of NetworkPolicies and cluster-wide policies (AdminNetworkPolicy, "
        "BaselineAdminNetworkPolicy, ClusterNetworkPolicy), or - for standard input.",
        show_default=False,
    ),
]
PolicyPaths = Annotated[
    list[str],
    typer.Option(
        "--policies",
        metavar="PATH",
        help="File or folder of NetworkPolicies and cluster-wide policies, or -. Repeatable.",
        show_default=False,
    ),
]
Context = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="The context of the kubeconfig to use.", show_default=False),
]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", metavar="FILE", help="The kubeconfig to use.", show_default=False)
]
Namespaces = Annotated[
    list[str] | None,
    typer.Option("-n", "--namespace", metavar="NAME", help="Only this namespace. Repeatable.", show_default=False),
]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="All namespaces: the default.")]


Selector = Annotated[
    str | None,
    typer.Option(
        "-l",
        "--selector",
        metavar="SELECTOR",
        help="Only pods with such labels, as for kubectl: app=web,tier!=cache,env in (prod,staging),!canary.",
        show_default=False,
    ),
]
ThreatLists = Annotated[
    list[str] | None,
    typer.Option(
        "--threat-list",
        metavar="FILE",
        help="Addresses, blocks and names that must never be allowed: one a line, a hosts file, CSV, or a STIX 2.1 "
        "bundle. Repeatable. What matches is reported first.",
        show_default=False,
    ),
]
AcceptThreats = Annotated[
    bool,
    typer.Option(
        "--accept-threats",
        help="Exit with 0 even though a threat list matched. What matched is not allowed all the same.",
    ),
]


Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Only what was recorded from then on: 2026-11-27T12:00:00Z, or 24h for the last day.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Only what was recorded before.", show_default=False),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="What adds datasets up: duckdb, here; or spark, a Spark master, or a Spark Connect server, for months of "
        "a large cluster.",
        show_default="duckdb",
    ),
]
JudgingPolicies = Annotated[
    list[str] | None,
    typer.Option(
        "--policies",
        metavar="PATH",
        help="Policies that judge what was seen: a file or folder, or -. Repeatable. Without it, those that "
        "`netpol learn` would write.",
        show_default=False,
    ),
]
OldPolicies = Annotated[
    list[str] | None,
    typer.Option(
        "--old",
        metavar="PATH",
        help="The policies before: what they did not allow is new. Repeatable.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse captures that are cut off or damaged, and flow logs with records that cannot be read. Otherwise "
        "what can be read of them is used, and the rest is counted.",
    ),
]


def chosen_labels(text: str | None) -> LabelSelector | None:
    """The selector of `-l`, None for all pods.

    Raises:
        UsageError: The text is no selector.
    """
    from netpol.model.selector_text import parse_selector

    found = parse_selector(text) if text is not None else None
    return None if found is None or found.is_empty else found


def chosen_namespaces(names: list[str] | None, *, everything: bool) -> frozenset[str] | None:
    """The namespaces that were asked for, None for all.

    Raises:
        UsageError: `-n` and `-A` contradict each other.
    """
    from netpol.errors import UsageError

    if names and everything:
        raise UsageError("-n and -A contradict each other", remedy="Give one of them")
    return frozenset(names) if names else None
