"""The finished table of flows: sorted, columnar, and a sequence of `Flow` to whoever prefers objects."""

from __future__ import annotations

import weakref
from ipaddress import IPv4Address, IPv6Address
from typing import IO, TYPE_CHECKING, Final, cast

from netpol.flows.rows import NO_PORT, ROW, Rows, read_rows
from netpol.model.flow import Address, Direction, Flow, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROWS_AT_ONCE: Final = 1 << 15
_ADDRESSES_REMEMBERED: Final = 1 << 16
_OUTCOMES: Final = tuple(Outcome)
_DIRECTIONS: Final = tuple(Direction)


class FlowTable:
    """Rows in the order of client, server, protocol, port, outcome and tenancies; IPv4 before IPv6, addresses by value.

    Args:
        rows: All rows, sorted; or none where they are in `file`.
        file: Rows that did not fit into memory, as consecutive ROW.
        count: How many rows there are.
        notes: What was given up or could not be used, in words, with how often; nothing is in it that happened never.
    """

    def __init__(
        self, rows: Rows, *, file: IO[bytes] | None = None, count: int | None = None, notes: Mapping[str, int]
    ) -> None:
        self._rows = rows
        self._file = file
        if file is not None:
            weakref.finalize(self, file.close)
        self._count = len(rows) if count is None else count
        self.notes = dict(notes)

    def __len__(self) -> int:
        return self._count

    def batches(self) -> Iterator[Rows]:
        """All rows in order, some tens of thousands at a time, as structured arrays of ROW."""
        if self._file is None:
            for start in range(0, len(self._rows), _ROWS_AT_ONCE):
                yield self._rows[start : start + _ROWS_AT_ONCE]
            return
        for start in range(0, self._count, _ROWS_AT_ONCE):
            self._file.seek(start * ROW.itemsize)
            yield read_rows(self._file, _ROWS_AT_ONCE)

    def __iter__(self) -> Iterator[Flow]:
        known: dict[tuple[int, int, int], Address] = {}
        for rows in self.batches():
            if len(known) > _ADDRESSES_REMEMBERED:
                known.clear()
            for row in rows.tolist():
                yield _flow(cast("tuple[int, ...]", row), known)


def _flow(row: tuple[int, ...], known: dict[tuple[int, int, int], Address]) -> Flow:
    client_high, client, server_high, server, connections, packets, length, first, last, port, *rest = row
    client_tenancy, server_tenancy, family, protocol, outcome, direction, two_way, _ = rest
    return Flow(
        client=known.get((family, client_high, client)) or _address(known, family, client_high, client),
        server=known.get((family, server_high, server)) or _address(known, family, server_high, server),
        protocol=protocol,
        port=None if port == NO_PORT else port,
        outcome=_OUTCOMES[outcome],
        direction=_DIRECTIONS[direction],
        connections=connections,
        packets=packets,
        bytes=length,
        first_seen=first,
        last_seen=last,
        two_way=bool(two_way),
        client_tenancy=client_tenancy,
        server_tenancy=server_tenancy,
    )


def _address(known: dict[tuple[int, int, int], Address], family: int, high: int, low: int) -> Address:
    address = IPv4Address(low) if family == 4 else IPv6Address(high << 64 | low)
    known[family, high, low] = address
    return address
