"""What the aggregation asks of whatever runs its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from netpol.dataset.folder import Dataset
    from netpol.edges.parts import Parts
    from netpol.edges.statements import Statement
    from netpol.edges.tables import Table

Columns = dict[str, "NDArray[np.int64]"]

SIX: Final = """SELECT DISTINCT CAST(high AS STRING) AS high, CAST(low AS STRING) AS low FROM (
    SELECT low_high AS high, low FROM connections WHERE family = 6
    UNION ALL SELECT high_high, high FROM connections WHERE family = 6
    UNION ALL SELECT low_high, low FROM carried WHERE family = 6
    UNION ALL SELECT high_high, high FROM carried WHERE family = 6) AS ends"""
"""The IPv6 addresses of the data."""

TEXTS: Final = "SELECT DISTINCT text FROM (SELECT client AS text FROM flows UNION ALL SELECT server FROM flows) AS ends"
"""The addresses of hours that are added up."""

_KEPT_PROMISES: Final = """coalesce(family IN (4, 6) AND side <= 2
    AND (side <> 2) = (syn IS NOT NULL OR synack IS NOT NULL) AND first >= 0 AND last >= first
    AND packets >= 0 AND packets <= 1099511627776 AND bytes >= 0 AND bytes <= 1125899906842624
    AND (family = 6 OR (low_high = 0 AND high_high = 0 AND low < 4294967296 AND high < 4294967296))
    AND (low_high < high_high OR (low_high = high_high AND (low < high OR (low = high AND low_port <= high_port)))),
    false)"""
_FLOW: Final = """coalesce(connections BETWEEN 0 AND 9007199254740992 AND packets BETWEEN 0 AND 9007199254740992
    AND bytes BETWEEN 0 AND 9007199254740992 AND last_seen >= first_seen
    AND (client LIKE '%:%') = (server LIKE '%:%')
    AND (port IS NULL) = (protocol NOT IN ('TCP', 'UDP', 'SCTP') OR direction = 'unknown'), false)"""
BROKEN: Final = f"""SELECT count(*) AS count FROM (
    SELECT 1 AS one FROM connections WHERE NOT {_KEPT_PROMISES}
    UNION ALL SELECT 1 FROM carried WHERE NOT {_KEPT_PROMISES}
    UNION ALL SELECT 1 FROM flows WHERE NOT {_FLOW}) AS broken"""  # noqa: S608 - constants
"""How many records and flows break what is asked of them where they are read: netpol did not write them."""

QUOTES: Final = """SELECT count(*) AS count
    FROM piece
    LEFT JOIN (SELECT protocol AS its_protocol, low_end AS its_low, high_end AS its_high, min(first) AS begun
               FROM followed GROUP BY protocol, low_end, high_end) AS quotable
      ON protocol = its_protocol AND low_end = its_low AND high_end = its_high
    WHERE NOT genuine AND (begun IS NULL OR begun > first)"""
"""How many unreachables are about packets that nobody recorded before them."""

FLOWS_READ: Final = "SELECT count(*) AS count FROM flows"
"""How many rows of added up hours there are: the answer tells how many of them it used."""


class Engine(Protocol):
    """Runs SQL over files and small tables.

    Raises:
        InputError: Any method, where a file cannot be read, or the engine not be asked.
    """

    def open(self, found: Sequence[tuple[Dataset, Parts]], bounds: tuple[int | None, int | None]) -> None:
        """Gives the files of datasets the names `connections`, `carried` and `flows`.

        Args:
            found: Datasets, and which of their files.
            bounds: Rows of `flows` that end before the first or begin from the second on are left out, nanoseconds.
        """

    def give(self, tables: Mapping[str, Table]) -> None:
        """Gives small tables their names."""

    def make(self, statement: Statement) -> None:
        """Makes a view, and keeps what is in it where the statement wants that."""

    def ask(self, sql: str) -> dict[str, list[Any]]:
        """The columns of a small answer."""

    def answer(self, sql: str) -> Columns:
        """The columns of an answer that consists of integers."""

    def close(self) -> None:
        """Lets go of everything."""
