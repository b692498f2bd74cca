"""Takes a dataset, a timeline and an engine; yields the table of flows, every end with its owner."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from netpol.dataset.account import NO_FLOWS
from netpol.edges.engine import BROKEN, FLOWS_READ, QUOTES, SIX, TEXTS
from netpol.edges.parts import parts_of
from netpol.edges.rows import table_of
from netpol.edges.statements import statements
from netpol.edges.tables import Numbers, tables_of
from netpol.errors import InputError
from netpol.flows.assemble import QUOTES_OF_NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netpol.cluster.timeline import Tenancy, Timeline
    from netpol.dataset.captures import Span
    from netpol.dataset.folder import Dataset
    from netpol.edges.engine import Columns, Engine
    from netpol.flows.table import FlowTable


def flow_table(datasets: Sequence[Dataset], span: Span, timeline: Timeline | None, engine: Engine) -> FlowTable:
    """All flows of datasets, as `netpol.flows.assemble` makes them of what `Dataset.read` yields.

    Args:
        datasets: Where they are; a window that several have counts once.
        span: Which part of the time is wanted.
        timeline: Who held which address when.
        engine: What runs the text; it is closed in the end.

    Raises:
        InputError: A file cannot be read or is damaged, or the engine cannot be asked.
    """
    return table_of(*aggregate(datasets, span, timeline, engine))


def aggregate(
    datasets: Sequence[Dataset],
    span: Span,
    timeline: Timeline | None,
    engine: Engine,
    label: Callable[[Tenancy, int], int] | None = None,
) -> tuple[Columns, Numbers, dict[str, int]]:
    """The answer of the text itself, the numbers in it, and what could not be used, in words, with how often.

    Args:
        datasets: Where the records are.
        span: Which part of the time is wanted.
        timeline: Who held which address when.
        engine: What runs the text; it is closed in the end.
        label: Of a tenancy, given with its index; without it the index.

    Raises:
        InputError: As above.
    """
    with closing(engine):
        found = [(one, parts_of(one, span, datasets[:place])) for place, one in enumerate(datasets)]
        for dataset, parts in found:
            if parts.damaged:
                raise InputError("a file of the dataset cannot be read", where=(dataset.place.where(),))
        added_up = any(parts.flows for _, parts in found)
        engine.open(found, (span.since, span.until))
        if _count(engine, BROKEN):
            raise InputError("records that netpol did not write", where=tuple(one.place.where() for one in datasets))
        six = engine.ask(SIX)
        texts = engine.ask(TEXTS)["text"] if added_up else []
        numbers = Numbers(zip(map(int, six["high"]), map(int, six["low"]), strict=True), filter(None, texts))
        engine.give(tables_of(timeline, numbers, label))
        *views, question = statements()
        for each in views:
            engine.make(each)
        answer = engine.answer(question.sql)
        read = _count(engine, FLOWS_READ) if added_up else 0
        notes = {NO_FLOWS: read - int(answer["used"].sum()), QUOTES_OF_NOTHING: _count(engine, QUOTES)}
        return answer, numbers, {note: count for note, count in notes.items() if count}


def _count(engine: Engine, sql: str) -> int:
    return int(engine.ask(sql)["count"][0])
