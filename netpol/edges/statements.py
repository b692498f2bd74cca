"""The text of the aggregation, statement by statement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

_KEPT: Final = "-- kept"
_VIEW: Final = re.compile(r"CREATE OR REPLACE TEMPORARY VIEW (\w+) AS\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of the text.

    Attributes:
        name: Of the view that it makes; empty: it is the question.
        kept: Later statements need its result more than once: an engine had better compute it once.
        sql: The statement, comments included.
    """

    name: str
    kept: bool
    sql: str


@cache
def statements() -> tuple[Statement, ...]:
    """All statements in their order; the last is the question."""
    text = files(__package__).joinpath("edges.sql").read_text(encoding="utf-8")
    return tuple(_statement(part.strip()) for part in text.split(";\n"))


def _statement(sql: str) -> Statement:
    view = _VIEW.search(sql)
    return Statement(name=view[1] if view else "", kept=_KEPT in sql.splitlines(), sql=sql)
