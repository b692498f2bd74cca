"""Windows as recorded, into files: three tables, of which the last to appear makes the others count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.dataset import connection_rows, layout, name_rows, window_rows
from netpol.dataset.engine import Part
from netpol.dataset.layout import CONNECTIONS, NAMES, WINDOWS, Note
from netpol.dataset.reading import batches, condition, split
from netpol.dataset.window_rows import WindowRow
from netpol.flows.records import stacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dataset.engine import Columns, Engine
    from netpol.dataset.reading import Placed
    from netpol.dataset.window import Window
    from netpol.names.part import NamesPart

_PLACE: Final = ", ".join(f'list_extract(${name}s, w) AS "{name}"' for name in ("window", "observer", "begin"))
"""Of which window a row is."""


class Writing:
    """Writes the raw tables of an hour."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def windows(self, hour: int, windows: Sequence[Window]) -> None:
        """Writes windows of one hour.

        Raises:
            OSError: They cannot be written.
        """
        windows = sorted(windows, key=lambda each: (each.begin, each.observer, each.run, each.number))
        rows = [WindowRow.of(window) for window in windows]
        name = layout.identifier(row.identity for row in rows)
        values = {
            "windows": [row.identity for row in rows],
            "observers": [row.observer for row in rows],
            "begins": [row.begin for row in rows],
        }
        connections = Part(
            query=f"SELECT {_PLACE}, {connection_rows.selected()} FROM given",  # noqa: S608 - constants
            columns=_numbered(
                connection_rows.columns_of(stacked([window.records for window in windows])),
                [len(window.records) for window in windows],
            ),
            values=values,
        )
        parts = [name_rows.columns_of(window.names) for window in windows]
        names = Part(
            query=f"SELECT {_PLACE}, {name_rows.SELECT} FROM given",  # noqa: S608 - constants
            columns=_numbered(
                {column: np.concatenate([part[column] for part in parts]) for column in name_rows.COLUMNS},
                [len(part["kind"]) for part in parts],
            ),
            values=values,
        )
        self.table(CONNECTIONS, hour, name, [connections], Note())
        self.table(NAMES, hour, name, [names], Note())
        self.commit(hour, name, rows, Note())

    def together(self, hour: int, name: str, placed: Sequence[Placed], note: Note) -> None:
        """Writes windows that lie in other files into one.

        Raises:
            GoneError: One of these was there and is not any more.
            InputError: One of these cannot be read.
            OSError: They cannot be written.
        """
        for table in (CONNECTIONS, NAMES):
            self.table(table, hour, name, self._copies(table, hour, placed), note)
        self.commit(hour, name, [row for row, _ in placed], note)

    def _copies(self, table: str, hour: int, placed: Sequence[Placed]) -> Iterator[Part]:
        # What several nodes saw of one connection stands side by side: a third less to store, and less to add up.
        order = '"begin", first, "window"' if table == CONNECTIONS else '"begin", "window"'
        for batch in batches(placed):
            for group in split(batch):
                files = [layout.file(table, hour, name) for name in sorted({file.name for _, file in group})]
                columns = "* EXCLUDE (file_row_number, filename)"
                query = f"SELECT {columns} FROM files WHERE {condition(group)} ORDER BY {order}"  # noqa: S608
                yield Part(query=query, files=files)

    def evidence(self, hour: int, name: str, part: NamesPart, note: Note) -> None:
        """Writes what all windows of an hour say together about names."""
        place = f'NULL::VARCHAR AS "window", NULL::VARCHAR AS observer, {hour * layout.HOUR}::BIGINT AS "begin"'
        query = f"SELECT {place}, {name_rows.SELECT} FROM given"  # noqa: S608 - constants and a number
        self.table(NAMES, hour, name, [Part(query=query, columns=name_rows.columns_of(part))], note)

    def commit(self, hour: int, name: str, rows: Iterable[WindowRow], note: Note) -> None:
        """Writes the table `windows`: until it is there, the other tables of the name are not."""
        query = f"SELECT {window_rows.SELECT} FROM given"  # noqa: S608 - constants
        self.table(WINDOWS, hour, name, [Part(query=query, columns=window_rows.columns_of([*rows]))], note)

    def table(self, table: str, hour: int, name: str, parts: Iterable[Part], note: Note) -> None:
        """Writes a file of any table."""
        self._engine.write(layout.file(table, hour, name), parts, note.text())


def _numbered(columns: Columns, counts: Sequence[int]) -> Columns:
    """With a column that says of which window each row is, from 1."""
    return {**columns, "w": np.repeat(np.arange(1, len(counts) + 1, dtype=np.int64), counts)}
