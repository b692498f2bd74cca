"""`netpol learn`: captures to policies, proven by replay."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from netpol.cli import options
from netpol.cli.dialect import Dialect


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
            help="Write DIR/NAMESPACE/NAME.yaml, kustomization.yaml, REVIEW.md, graph.html, summary.json and "
            "allowlists, not YAML on stdout.",
            show_default=False,
        ),
    ] = None,
    existing: Annotated[
        list[str] | None,
        typer.Option(
            "--existing",
            metavar="PATH",
            help="Policies that the cluster has already: a file or folder, -, git:REV:PATH, or `live` for what the "
            "cluster has now. Repeatable. Without --cluster it is the live ones; `none` leaves them out of account.",
            show_default=False,
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Drop what netpol wrote earlier and this capture did not exercise. Otherwise it is kept, and marked.",
        ),
    ] = False,
    namespace: options.Namespaces = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
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
    dialect: Annotated[
        Dialect,
        typer.Option(
            "--dialect",
            help="What to write: Kubernetes NetworkPolicies, CiliumNetworkPolicies or Calico NetworkPolicies "
            "(calico-enterprise: with domains). What they say differently is told.",
        ),
    ] = Dialect.KUBERNETES,
    public: Annotated[
        list[str] | None,
        typer.Option(
            "--public",
            metavar="WORKLOAD",
            help="ns/name or ns/name[Kind]: everybody outside may connect to the ports that Services lead there, and "
            "to those at which outside clients were seen; pods may not. Repeatable.",
            show_default=False,
        ),
    ] = None,
    few_clients: Annotated[
        int,
        typer.Option(
            "--few-clients",
            metavar="N",
            min=0,
            help="Where a Service leads the outside to a port, up to N distinct outside clients are allowed one by "
            "one; more of them stand for everybody.",
        ),
    ] = 16,
    threat_list: options.ThreatLists = None,
    accept_threats: options.AcceptThreats = False,
    allow_metadata: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-metadata",
            metavar="WORKLOAD",
            help="ns/name or ns/name[Kind]: it is meant to read cloud metadata, and may. Repeatable.",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    since: options.Since = None,
    until: options.Until = None,
    strict: options.Strict = False,
    engine: options.Engine = "",
) -> None:
    """Learn the policies that admit exactly what the captures show.

    Each workload that was seen gets one policy. Every learned connection is replayed against the result before
    anything is written. YAML goes to stdout or to -d DIR, the account of what was used and what was left out to stderr.

    Existing policies that netpol did not write are never changed: what they keep open, and what could go, is told.
    """
    from netpol.cli.account import write_account
    from netpol.cli.graph_learn import page_of_learned
    from netpol.cli.learning import Wish, learned
    from netpol.cli.observe import ClusterChoice, cluster_paths, refuse_shared_stdin, warn
    from netpol.cli.output import GRAPH, REVIEW, Leftovers, write_directory
    from netpol.cli.review_learn import change_of, review_of_learned
    from netpol.cli.times import span_of
    from netpol.dialects.kubernetes import to_files, to_yaml
    from netpol.errors import UsageError
    from netpol.graph.reasons import Reason
    from netpol.policy.generate import Directions as Isolation
    from netpol.policy.generate import Options

    paths, sources = cluster_paths(cluster, captures, context, kubeconfig), existing or []
    refuse_shared_stdin(captures, paths, sources)
    choice = Options(
        directions=Isolation(directions.value),
        default_deny=default_deny,
        namespaces=options.chosen_namespaces(namespace, everything=all_namespaces),
        system=system,
        selector=options.chosen_labels(selector),
        few_clients=few_clients,
    )
    if choice.selector and default_deny:
        raise UsageError(
            "--default-deny would close the pods that -l leaves out", remedy="Leave one of them out, or use -n"
        )
    if prune and directory is None and (sources == ["none"] or (paths and not sources)):
        raise UsageError("--prune has nothing to drop", remedy="Name the earlier policies: --existing PATH, or -d DIR")
    result = learned(
        Wish(
            captures=captures,
            span=span_of(since, until),
            strict=strict,
            engine=engine,
            cluster=ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig),
            existing=sources,
            directory=directory,
            options=choice,
            prune=prune,
            dialect=dialect,
            threat_lists=threat_list or [],
            accept_threats=accept_threats,
            allow_metadata=allow_metadata or [],
            public=public or [],
        )
    )
    translation = result.translation
    if directory is None:
        sys.stdout.write(translation.to_yaml() if translation else to_yaml(result.policies, nodes=result.nodes))
    else:
        narrowed = bool(choice.namespaces or choice.selector)
        leftovers = Leftovers(asks_about=result.scope.asks_about, prune=prune, merged=result.merged, narrowed=narrowed)
        policies = translation.to_files() if translation else to_files(result.policies, nodes=result.nodes)
        change = change_of(result, directory, prune=prune)
        # What the last run wrote about the same change still tells of it: a second run changes nothing.
        reports = {} if change.again else {REVIEW: review_of_learned(result, change)}
        if not change.again or not (directory / GRAPH).is_file():
            reports[GRAPH] = page_of_learned(result, change)
        write_directory(directory, policies, result.summary, leftovers, result.allowlists, reports)
    write_account(result.summary, sys.stderr)
    unknown = result.summary["left_out"]["quarantined"].get(Reason.UNKNOWN_OUTCOME.identifier, 0)
    if unknown:
        remedy = "Packets or another log would tell; -d DIR lists them in summary.json (left_out_pairs)"
        warn(f"{unknown:,} connections are not learned: the log does not tell whether they worked. {remedy}")
    if not result.policies:
        whose = " of a workload that policies are written for" if result.summary["edges"] else ""
        warn(f"no policy was written: no connection{whose} was learned")
    raise typer.Exit(result.exit_code)
