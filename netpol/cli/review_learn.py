"""REVIEW.md of `learn -d`: the report on what the policies will be once those that were learned are applied."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netpol.cli.review_losses import losses
from netpol.policy.classes import Side
from netpol.review.report import ToCheck, Urgency
from netpol.review.report_build import Captured, Known, report_of
from netpol.view.time_bins import window_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from netpol.cli.learning import Learned
    from netpol.cli.observe import Cluster, Reading
    from netpol.graph.admit import Admission
    from netpol.model.policy import NetworkPolicy
    from netpol.model.tiers import Policy
    from netpol.names.table import Names
    from netpol.policy.existing import Comparison, Existing
    from netpol.policy.generate_statements import Statement
    from netpol.policy.merge import Merged
    from netpol.policy.tightness import Tightness
    from netpol.view.gather import Gatherer


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the stages of `learn` leave behind for the report.

    Attributes:
        figures: Against the policies of today; none where those were not looked at.
        today: None where existing policies were not looked at.
        comparison: None in the same case.
        gatherer: What was seen, for the graph; None where no folder is written.
        names: What the captures say about names; None where nobody asked.
    """

    reading: Reading
    cluster: Cluster
    admission: Admission
    statements: tuple[Statement, ...]
    merged: Merged
    figures: Tightness
    today: Existing | None = None
    comparison: Comparison | None = None
    gatherer: Gatherer | None = None
    names: Names | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The policies before and after.

    Attributes:
        yaml: How their text differs; empty where it does not.
        again: The last run came to the same account and changed the same, so that what it wrote still tells of it.
    """

    old: tuple[Policy, ...]
    new: tuple[Policy, ...]
    yaml: str
    again: bool


def change_of(result: Learned, directory: Path, *, prune: bool) -> Change:
    """What changes; has to be asked before the folder is written.

    Args:
        result: What was learned.
        directory: Says which policies there were, where no others were named.
        prune: What is no longer learned is deleted from it.
    """
    old, new = _sides(result, directory, prune=prune)
    yaml = _yaml(result, directory, old, new)
    return Change(old=old, new=new, yaml=yaml, again=not yaml and _is_again(result.summary, directory))


def review_of_learned(result: Learned, change: Change) -> str:
    """REVIEW.md, as it is to be written."""
    from netpol.cli.review_markdown import markdown

    material, old, new = result.material, change.old, change.new
    inventory = material.cluster.inventory
    captured = Captured(
        window=window_of(material.reading.table),
        admission=material.admission,
        flows=material.reading.resolved(material.cluster),
        figures=_figures(material, old, new),
    )
    comparison, today = material.comparison, material.today
    others = {str(policy) for policy in today.foreign} if today else set()
    known = Known(
        statements=material.statements,
        keeps_open=comparison.keeps_open if comparison else (),
        uses=[use for use in comparison.never_used if use.key.policy in others] if comparison else (),
        remarks=(*losses(material.reading.tally), *_remarks(result.summary)),
        yaml=change.yaml,
    )
    report = report_of(
        Side(policies=old, inventory=inventory),
        Side(policies=new, inventory=inventory),
        captured,
        known,
        rules=False,
    )
    return "".join(markdown(report))


def _is_again(summary: Mapping[str, Any], directory: Path) -> bool:
    """Whether the last run came to the same account of the same captures."""
    from netpol.cli.output import ALLOWLISTS, REVIEW, SUMMARY

    try:
        before = json.loads((directory / SUMMARY).read_bytes())
        before.pop(ALLOWLISTS, None)
        return bool(before == json.loads(json.dumps(summary))) and (directory / REVIEW).is_file()
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _sides(result: Learned, directory: Path, *, prune: bool) -> tuple[tuple[Policy, ...], tuple[Policy, ...]]:
    material = result.material
    if material.today is not None:
        return material.today.everything, material.today.after(material.merged)
    before = _policies_of(directory)
    written = {str(policy) for policy in result.policies}
    gone = result.scope.asks_about if prune else lambda _: False
    stay = (policy for policy in before if str(policy) not in written and not gone(policy))
    return before, (*stay, *result.policies)


def _figures(material: Material, old: tuple[Policy, ...], new: tuple[Policy, ...]) -> Tightness:
    """How tight the new policies are, against the same old ones as everything else in the report."""
    if material.today is not None or not old:
        return material.figures
    from netpol.graph.label_graph import LabelGraph
    from netpol.policy.tightness import tightness

    inventory = material.cluster.inventory
    return tightness(LabelGraph.of(material.admission, inventory), inventory, new, existing=old)


def _policies_of(directory: Path) -> tuple[NetworkPolicy, ...]:
    from netpol.cli.output import policies_below

    found = [policy for _, policies in policies_below(directory, tell=False) for policy in policies]
    return tuple({str(policy): policy for policy in found}.values())


def _remarks(summary: Mapping[str, Any]) -> Iterator[ToCheck]:
    """What the dialect says differently."""
    for item in summary["dialect"]["remarks"]:
        yield ToCheck(
            urgency=Urgency.KNOW,
            about=", ".join(item["policies"][:3]),
            text=item["text"],
            remedy=item["remedy"],
        )


def _yaml(result: Learned, directory: Path, old: tuple[Policy, ...], new: tuple[Policy, ...]) -> str:
    """In another dialect, how the files differ."""
    from netpol.cli.diff_unified import unified_diff, unified_texts

    if result.translation is None:
        return unified_diff(old, new)
    after = result.translation.to_files()
    before = {path: text for path in after if (text := _text_of(directory / path)) is not None}
    return unified_texts(before, after)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
