"""All stages of `learn` but the last: from what the user asks for to policies, proven, and their account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netpol.cli.dialect import Dialect, account_of, surroundings, translate, usable
from netpol.cli.existing import read_cluster
from netpol.cli.existing_json import Laid
from netpol.cli.observe import read, warn_of_unknown_namespaces, warn_of_unmatched
from netpol.cli.review_learn import Material
from netpol.cli.summary import summary_of
from netpol.cli.threat_account import threats_of
from netpol.cli.workload_names import workloads_named
from netpol.dialects.allowlists.formats import FORMATS, files
from netpol.dialects.allowlists.values import Options as Allowances
from netpol.egress.needs import needs_of
from netpol.egress.selection import Selection
from netpol.graph.admit import admit
from netpol.graph.beyond import beyond
from netpol.graph.label_graph import LabelGraph
from netpol.graph.selectors import Selectors
from netpol.names.table import Names
from netpol.policy.evaluate import Evaluator
from netpol.policy.existing import Existing, compare
from netpol.policy.existing_silence import sort_out
from netpol.policy.existing_watch import Watch
from netpol.policy.generate import generate
from netpol.policy.generate_platform import with_platform
from netpol.policy.generate_scope import Scope
from netpol.policy.left_open import left_open
from netpol.policy.merge import Terms, merge
from netpol.policy.replay import replay
from netpol.policy.tightness import tightness
from netpol.policy.withhold import withhold
from netpol.threats.guard import Guard
from netpol.threats.sensitive import Sensitive
from netpol.view.gather import Gatherer
from netpol.view.time_bins import window_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from netpol.cli.existing import ExistingRead
    from netpol.cli.observe import ClusterChoice
    from netpol.dataset.captures import Span
    from netpol.dialects.translation import Translation
    from netpol.graph.admit import Admission
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory
    from netpol.model.outside import Need
    from netpol.model.policy import NetworkPolicy
    from netpol.policy.generate import Generated, Options
from netpol.policy.merge import Merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asks for.

    Attributes:
        span: The part of the time that is looked at, None for all of it.
        strict: Refuse what cannot be read whole.
        engine: What adds datasets up; empty: duckdb.
        existing: What `--existing` names.
        directory: Where the result will go, None for stdout.
        options: Without the existing policies' part.
        prune: Drop what netpol wrote earlier and was not exercised.
        dialect: What the policies will be written as.
        threat_lists: Paths of lists of what must never be allowed.
        accept_threats: What they name does not change the exit code.
        allow_metadata: Workloads that are meant to read cloud metadata, as text.
        public: Workloads that everybody outside may connect to, as text.
    """

    captures: Sequence[str]
    span: Span | None = None
    strict: bool = False
    engine: str = ""
    cluster: ClusterChoice
    existing: Sequence[str]
    directory: Path | None
    options: Options
    prune: bool
    dialect: Dialect = Dialect.KUBERNETES
    threat_lists: Sequence[str] = ()
    accept_threats: bool = False
    allow_metadata: Sequence[str] = ()
    public: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What comes of it.

    Attributes:
        policies: What is to be written.
        translation: The same in the dialect that was asked for, None for Kubernetes' own.
        nodes: Node addresses to names.
        merged: Whether what lies in the folder already was among the existing policies.
        allowlists: Relative paths to the texts of allowlists of what these workloads need outside the cluster; none
            where no folder is written.
        exit_code: 0, that of captures that could not be read to their end, or that of matches with threat lists.
        material: What the report for reviewers is made of.
    """

    policies: tuple[NetworkPolicy, ...]
    translation: Translation | None
    summary: Mapping[str, Any]
    nodes: Mapping[Address, str]
    scope: Scope
    merged: bool
    allowlists: Mapping[str, str]
    exit_code: int
    material: Material


def learned(wish: Wish) -> Learned:
    """Reads, learns, merges, proves and counts.

    Raises:
        InputError: Something cannot be read.
        ClusterError: The live cluster is needed and cannot be asked.
        ProofError: The policies deny a connection that they were learned from.
    """
    known, found = read_cluster(wish.cluster, wish.existing, wish.directory)
    inventory = known.inventory
    today = found.policies if found else Existing()
    choice = replace(wish.options, foreign=today.foreign, public=workloads_named(wish.public, inventory))
    warn_of_unknown_namespaces(choice.namespaces, known)
    warn_of_unmatched(choice.selector, known)
    foreign = wish.dialect is not Dialect.KUBERNETES
    names = Names() if foreign or wish.directory is not None or wish.threat_lists else None
    guard = Guard.of(wish.threat_lists, names, Sensitive(workloads_named(wish.allow_metadata, inventory)))
    sink = guard.sink(names)
    reading = read(wish.captures, known, names=sink, span=wish.span, strict=wish.strict, engine=wish.engine)
    guard.look(reading.resolved(known))
    watch = Watch(Evaluator(today.everything, inventory))
    flows = reading.resolved(known)
    selectors = Selectors(inventory, lambda key: usable(wish.dialect, key))
    flows = watch.through(flows) if found else flows
    gatherer = Gatherer(window_of(reading.table)) if wish.directory is not None else None
    gathering = gatherer.watch if gatherer else lambda _flow, _decision: None
    admission = admit(flows, inventory, selectable=selectors.selectable, watch=gathering, bar=guard.bar)
    graph = LabelGraph.of(admission, inventory)
    generated = generate(graph, inventory, selectors, replace(choice, withheld=guard.addresses))
    scope = Scope(choice, inventory)
    statements = with_platform(generated.statements, guard.uses, admission.observations, inventory, scope.why_not)
    generated = replace(generated, statements=statements)
    terms = Terms(prune=wish.prune, asked=scope.asks_about, foreign=today.foreign_names)
    merged = merge(generated.policies, withhold(today.managed, guard.unwanted), inventory, terms)
    judge = Evaluator(merged.policies, inventory)
    proof = replay(admission.observations, judge)
    proof.prove()
    figures = tightness(graph, inventory, today.after(merged), existing=today.everything)
    laid = None
    if found:
        generated, laid = _lay(found, generated, merged, watch, inventory)
    needs = guard.by_address(_needs(admission, names, inventory, scope)) if names else ()
    translation = None
    if foreign:
        seen = beyond(guard.passing(reading.resolved(known)), admission, selectable=selectors.selectable)
        around = surroundings(inventory, generated, selectors, seen, needs)
        translation = translate(wish.dialect, merged.policies, around)
    summary = summary_of(reading, inventory, admission, graph, generated, proof, figures, laid)
    return Learned(
        policies=merged.policies,
        translation=translation,
        summary={
            "threats": threats_of(guard, known.timeline, needs, left_open(guard.screen.flows, judge)),
            **summary,
            "dialect": account_of(wish.dialect, translation),
        },
        nodes={address: node.name for node in inventory.nodes for address in node.addresses},
        scope=scope,
        merged=found is not None and found.takes_in(wish.directory),
        allowlists=_allowlists(needs, inventory) if wish.directory is not None else {},
        exit_code=reading.exit_code or int(guard.found and not wish.accept_threats),
        material=Material(
            reading=reading,
            cluster=known,
            admission=admission,
            statements=generated.statements,
            merged=merged,
            figures=figures,
            today=today if found else None,
            comparison=laid.comparison if laid else None,
            gatherer=gatherer,
            names=names,
        ),
    )


def _needs(admission: Admission, names: Names, inventory: Inventory, scope: Scope) -> tuple[Need, ...]:
    """What the workloads that were asked for need outside."""
    asked = frozenset(pod.workload for pod in inventory.pods if not scope.why_not(pod.workload))
    selection = Selection(system=True, workloads=asked)
    return needs_of(admission.observations, names, inventory, selection=selection).needs


def _allowlists(needs: Sequence[Need], inventory: Inventory) -> dict[str, str]:
    """The needs in every format that no reader of manifests takes for one.

    What is YAML is applied to a cluster or is a configuration by itself, and `netpol egress -o` writes it.
    """
    formats = {name: form for name, form in FORMATS.items() if form.suffix != ".yaml"}
    return files(needs, Allowances.of(needs, inventory), formats)


def _lay(
    found: ExistingRead, generated: Generated, merged: Merged, watch: Watch, inventory: Inventory
) -> tuple[Generated, Laid]:
    """The learned policies, with the statements that are true beside existing ones, and how they stand to those."""
    statements, not_closed = sort_out(generated.statements, found.policies.after(merged), inventory)
    laid = Laid(
        read=found,
        merged=merged,
        comparison=compare(found.policies, merged, watch, inventory),
        unresolved=watch.unresolved,
        not_closed=not_closed,
        named_anew=generated.renamed,
    )
    return replace(generated, statements=statements), laid
