"""The text of the aggregation, statement by statement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT: Final = "-- kept"
_AS: Final = " AS\n"
_VIEW: Final = re.compile(rf"CREATE OR REPLACE TEMPORARY VIEW (\w+){_AS}")
_WORD: Final = re.compile(r"\w+")


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

    @property
    def query(self) -> str:
        """What the view shows; the question itself."""
        return self.sql[self.sql.index(_AS) + len(_AS) :] if self.name else self.sql


def spelled_out(query: str, views: Mapping[str, str]) -> str:
    """The query with the views that it needs in front of it, so that who runs it need not know them.

    Args:
        query: A SELECT.
        views: What each view shows, later ones in terms of earlier ones.
    """
    needed: set[str] = set()
    named = [query]
    while named:
        found = set(_WORD.findall(named.pop())).intersection(views) - needed
        needed |= found
        named += (views[name] for name in found)
    parts = [f"{name} AS NOT MATERIALIZED ({text})" for name, text in views.items() if name in needed]
    return f"WITH {', '.join(parts)}\n{query}" if parts else query


@cache
def statements() -> tuple[Statement, ...]:
    """All statements in their order; the last is the question."""
    text = files(__package__).joinpath("edges.sql").read_text(encoding="utf-8")
    return tuple(_statement(part.strip()) for part in text.split(";\n"))


def _statement(sql: str) -> Statement:
    view = _VIEW.search(sql)
    return Statement(name=view[1] if view else "", kept=_KEPT in sql.splitlines(), sql=sql)
