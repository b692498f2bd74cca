"""`netpol egress`: what each workload needs outside the cluster."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from netpol.dialects.allowlists.values import Options
    from netpol.egress.needs import Needs
    from netpol.model.prefixes import Bound
    from netpol.model.wildcard import Wildcard
    from netpol.threats.lists import Threats


class Format(StrEnum):
    """How the needs are printed: the reports, then the formats of allowlists."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MD = "md"
    DOMAINS = "domains"
    CIDRS = "cidrs"
    NETWORKPOLICY = "networkpolicy"
    CILIUM = "cilium"
    CALICO = "calico"
    CALICO_SETS = "calico-sets"
    ISTIO = "istio"
    ENVOY = "envoy"
    SQUID = "squid"
    NFTABLES = "nftables"
    IPSET = "ipset"
    IPTABLES = "iptables"
    AWS_NETWORK_FIREWALL = "aws-network-firewall"
    AWS_SECURITY_GROUP = "aws-security-group"
    FEED = "feed"
    FEED_CSV = "feed-csv"


REMARKS_SHOWN = 10

REPORTS = frozenset({Format.TABLE, Format.JSON, Format.CSV, Format.MD})


class Depth(StrEnum):
    """How many labels the star of a wildcard stands for."""

    ONE = "one"
    ANY = "any"


def egress(
    captures: options.Captures,
    cluster: options.ClusterPaths = None,
    output: Annotated[
        Format,
        typer.Option("-o", "--output", help="A report for people and scripts, or an allowlist for what enforces it."),
    ] = Format.TABLE,
    namespace: options.Namespaces = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    system: Annotated[bool, typer.Option("--system", help="The workloads of kube-system and its like too.")] = False,
    max_prefixes: Annotated[
        int | None,
        typer.Option(
            "--max-prefixes",
            metavar="N",
            min=1,
            help="At most N blocks of IPv4 and N of IPv6 in each set of addresses, as little wider than what was seen "
            "as that allows.",
            show_default=False,
        ),
    ] = None,
    max_waste: Annotated[
        float | None,
        typer.Option(
            "--max-waste",
            metavar="F",
            help="As few blocks as possible, of whose addresses at most the share F was never seen: 0.5 is half.",
            show_default=False,
        ),
    ] = None,
    wildcards: Annotated[
        bool,
        typer.Option(
            "--wildcards",
            help="Put *.PARENT in the place of names where a workload used enough of them on one port. It admits "
            "names that nobody has seen. Never at or above a public suffix.",
        ),
    ] = False,
    wildcard_names: Annotated[
        int | None,
        typer.Option(
            "--wildcard-names",
            metavar="K",
            min=2,
            help="So many distinct names below one parent are enough: 5 unless given.",
            show_default=False,
        ),
    ] = None,
    wildcard_depth: Annotated[
        Depth | None,
        typer.Option(
            "--wildcard-depth",
            help="one, unless given: names directly below the parent. any: at any depth, printed as **.PARENT.",
            show_default=False,
        ),
    ] = None,
    threat_list: options.ThreatLists = None,
    accept_threats: options.AcceptThreats = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    since: options.Since = None,
    until: options.Until = None,
    strict: options.Strict = False,
    engine: options.Engine = "",
) -> None:
    """List what each workload needs outside the cluster, by name where the captures carry one.

    A name is strong where the connection itself carries it (TLS, QUIC, HTTP) and a DNS answer to the pod gave its
    address, medium where one of the two does, ambiguous where several names led to the address. Only what
    demonstrably worked is a need; what was tried in vain is listed after it, with the reason.
    """
    from netpol.cli.egress_account import account_lines
    from netpol.cli.egress_render import Terminal, render
    from netpol.cli.observe import (
        ClusterChoice,
        cluster_of,
        cluster_paths,
        note,
        read,
        refuse_shared_stdin,
        warn_of_unknown_namespaces,
        warn_of_unmatched,
    )
    from netpol.cli.threat_account import threat_lines, threats_of
    from netpol.cli.times import span_of
    from netpol.dialects.allowlists.values import Options
    from netpol.egress.attempts import Attempts
    from netpol.egress.needs import needs_of
    from netpol.egress.selection import Selection, workloads_with
    from netpol.graph.admit import admit
    from netpol.model.cidr import AddressSet
    from netpol.names.table import Names
    from netpol.threats.guard import Guard

    paths = cluster_paths(cluster, captures, context, kubeconfig)
    refuse_shared_stdin(captures, paths)
    _refuse_lone_options(wildcards, wildcard_names, wildcard_depth)
    bound = _bound(output, max_prefixes, max_waste)
    labels = options.chosen_labels(selector)
    selection = Selection(namespaces=options.chosen_namespaces(namespace, everything=all_namespaces), system=system)
    known = cluster_of(ClusterChoice(paths=paths, context=context, kubeconfig=kubeconfig))
    warn_of_unknown_namespaces(selection.namespaces, known)
    warn_of_unmatched(labels, known)
    if labels is not None:
        selection = replace(selection, workloads=workloads_with(labels, known.inventory))
    names = Names()
    guard = Guard.of(threat_list or [], names)
    reading = read(captures, known, names=guard.sink(names), span=span_of(since, until), strict=strict, engine=engine)
    guard.look(reading.resolved(known))
    attempts = Attempts(selection.takes)
    admission = admit(reading.resolved(known), known.inventory, watch=attempts.watch, bar=guard.bar)
    needs = needs_of(admission.observations, names, known.inventory, selection=selection, attempts=attempts)
    needs = replace(needs, needs=guard.by_address(needs.needs))
    threats = threats_of(guard, known.timeline, needs.needs)
    for line in threat_lines(threats, rest=""):
        sys.stderr.write(f"{line}\n")
    if wildcards:
        needs = _widened(needs, wildcard_names, wildcard_depth, guard.threats)
    if output in REPORTS:
        terminal = Terminal.of(sys.stdout)
        for piece in render(output.value, needs, terminal):
            sys.stdout.write(piece)
        if terminal.left_out:
            note(f"the terminal is too narrow for {', '.join(terminal.left_out)}: | less -S shows all")
    else:
        never = guard.threats.addresses if bound else AddressSet.EMPTY
        _print_allowlist(output, needs, Options.of(needs.needs, known.inventory, bound, never))
    for line in account_lines(needs, attempts, names, reading, known.inventory):
        sys.stderr.write(f"{line}\n")
    raise typer.Exit(reading.exit_code or int(guard.found and not accept_threats))


def _refuse_lone_options(wildcards: bool, names: int | None, depth: Depth | None) -> None:  # noqa: FBT001 - options
    from netpol.errors import UsageError

    for option, value in (("--wildcard-names", names), ("--wildcard-depth", depth)):
        if value is not None and not wildcards:
            raise UsageError(f"{option} needs --wildcards", remedy="Without it, only names that were seen are printed")


def _bound(output: Format, prefixes: int | None, waste: float | None) -> Bound | None:
    """How far sets of addresses may be from what was seen, None for not at all."""
    from fractions import Fraction

    from netpol.dialects.allowlists.formats import FORMATS
    from netpol.errors import UsageError
    from netpol.model.prefixes import Bound

    given = [name for name, value in (("--max-prefixes", prefixes), ("--max-waste", waste)) if value is not None]
    if not given:
        return None
    if output in REPORTS:
        raise UsageError(f"{given[0]} is for allowlists", remedy="Choose one with -o: cidrs, for one")
    if not FORMATS[output.value].bounded:
        remedy = "Bound those of -o ipset" if output is Format.IPTABLES else "Choose another with -o: cidrs, for one"
        raise UsageError(f"{given[0]}: {output.value} has no blocks of addresses", remedy=remedy)
    if len(given) > 1:
        raise UsageError("--max-prefixes and --max-waste exclude each other", remedy="Give one of them")
    if waste is not None and not 0 <= waste < 1:
        raise UsageError(f"--max-waste {waste} is no share", remedy="Give a number from 0 to below 1: 0.5 is half")
    return Bound(max_prefixes=prefixes, max_waste=None if waste is None else Fraction(str(waste)))


def _widened(needs: Needs, least: int | None, depth: Depth | None, threats: Threats) -> Needs:
    """The needs with patterns, none of which stands for a name that a list names; tells of those that would."""
    from netpol.cli.observe import warn
    from netpol.egress.wildcards import LEAST_NAMES, widen
    from netpol.model.wildcard import Depth as Labels

    labels = Labels((depth or Depth.ONE).value)

    def barred(pattern: Wildcard) -> bool:
        match = threats.under(pattern)
        if match is not None:
            warn(f"{pattern} is not written: it would admit what line {match.line} of {match.list.name} names")
        return match is not None

    return replace(needs, needs=widen(needs.needs, least=least or LEAST_NAMES, depth=labels, barred=barred))


def _print_allowlist(output: Format, needs: Needs, options: Options) -> None:
    """Prints the allowlist, and as warnings what it cannot say or says more widely."""
    from netpol.cli.observe import warn
    from netpol.dialects.allowlists.formats import FORMATS

    written = FORMATS[output.value].write(needs.needs, options)
    sys.stdout.write(written.text)
    for remark in written.remarks[:REMARKS_SHOWN]:
        warn(remark)
    if len(written.remarks) > REMARKS_SHOWN:
        warn(f"and {len(written.remarks) - REMARKS_SHOWN:,} more of the kind: -n and -l ask for fewer workloads")
