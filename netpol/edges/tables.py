"""What the aggregation has to know beside the records: who held which address when, as small tables of columns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.cluster.declared import declared_ports
from netpol.cluster.timeline import BEGINNING, FOREVER, SKEW, Virtual
from netpol.model.flow import AMBIGUOUS_TENANCY, Direction, Outcome, protocol_name
from netpol.model.inventory import Pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from netpol.cluster.timeline import Tenancy, Timeline
    from netpol.model.flow import Address

PORTS: Final = 1 << 16
FIRST_SIX: Final = 1 << 40
"""The number of the first IPv6 address; those of IPv4 are what they are."""
ALL_ADDRESSES: Final = 1 << 32
"""A label from here on stands for all addresses that have it."""
_LEAST, _MOST = -(2**63) + 1, 2**63 - 1
_HALF: Final = (1 << 64) - 1
_MULTICAST: Final = 0xFF


@dataclass(frozen=True, slots=True)
class Table:
    """A small table.

    Attributes:
        types: The type of each column, in words of SQL: BIGINT, INT, STRING, BOOLEAN or UBIGINT.
        columns: The columns, all as long.
    """

    types: dict[str, str]
    columns: dict[str, list[Any]]

    @classmethod
    def of(cls, types: dict[str, str], rows: Iterable[Sequence[Any]]) -> Table:
        """The table of some rows."""
        columns = [*zip(*rows, strict=True)] or [() for _ in types]
        return cls(types, {name: list(column) for name, column in zip(types, columns, strict=True)})

    def rows(self) -> list[tuple[Any, ...]]:
        """The same row by row."""
        return [*zip(*self.columns.values(), strict=True)]


class Numbers:
    """The numbers that stand for addresses, in their order.

    Args:
        six: IPv6 addresses as the data has them, (high, low) halves.
        texts: Addresses as rows of flows have them; what is none has no number.
    """

    def __init__(self, six: Iterable[tuple[int, int]], texts: Iterable[str]) -> None:
        self._of_text: dict[str, Address] = {}
        for text in texts:
            try:
                self._of_text[text] = ip_address(text)
            except ValueError:
                continue
        known = {high << 64 | low for high, low in six}
        known |= {int(address) for address in self._of_text.values() if address.version == 6}
        self._six = sorted(known)
        self._number = {value: FIRST_SIX + place for place, value in enumerate(self._six)}

    def find(self, address: Address) -> int | None:
        """The number of an address, None where the data does not have it."""
        return int(address) if address.version == 4 else self._number.get(int(address))

    def words(self, places: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64]]:
        """The family and the (high, low) halves of the addresses at some places."""
        number = places // PORTS
        four = number < FIRST_SIX
        at = np.where(four, 0, number - FIRST_SIX)
        if not self._six:
            return np.full(len(places), 4, np.uint8), np.zeros(len(places), np.uint64), number.astype(np.uint64)
        high, low = (np.array(half, np.uint64) for half in zip(*((v >> 64, v & _HALF) for v in self._six), strict=True))
        family = np.where(four, 4, 6).astype(np.uint8)
        return family, np.where(four, 0, high[at]), np.where(four, number.astype(np.uint64), low[at])

    def tables(self) -> dict[str, Table]:
        """As tables."""
        six = [(v >> 64, v & _HALF, FIRST_SIX + n, v >> 120 == _MULTICAST) for n, v in enumerate(self._six)]
        address = [(text, number) for text, one in self._of_text.items() if (number := self.find(one)) is not None]
        return {
            "six": Table.of({"high": "UBIGINT", "low": "UBIGINT", "id": "BIGINT", "multicast": "BOOLEAN"}, six),
            "address": Table.of({"text": "STRING", "id": "BIGINT"}, address),
        }


def tables_of(
    timeline: Timeline | None, numbers: Numbers, label: Callable[[Tenancy, int], int] | None = None
) -> dict[str, Table]:
    """Every table that the text asks for but those of the records.

    Args:
        timeline: Who held which address when; None: nobody is known.
        numbers: Of the addresses in the data.
        label: The label of a tenancy, given with its index; without it the index, as flows carry it.
    """
    by_place: dict[int, list[tuple[int, int, int, Tenancy]]] = defaultdict(list)
    for index, one in enumerate(timeline.tenancies_list if timeline else ()):
        number = numbers.find(one.address)
        if number is not None:
            by_place[number * PORTS].append((one.start, one.end, label(one, index) if label else index, one))
    tenancy = [
        (place, *span)
        for place, tenancies in by_place.items()
        for span in spans([(start, end, its_label) for start, end, its_label, _ in tenancies])
    ]
    owners = {place: [one.owner for *_, one in tenancies] for place, tenancies in by_place.items()}
    service = [(place,) for place, held in owners.items() if any(isinstance(owner, Virtual) for owner in held)]
    pod = [(place,) for place, held in owners.items() if all(isinstance(owner, Pod) for owner in held)]
    declared = {
        (protocol, number * PORTS + port)
        for address, protocol, port in (declared_ports(timeline.inventory) if timeline else ())
        if (number := numbers.find(address)) is not None
    }
    times = dict.fromkeys(("place", "since", "until", "met_from", "met_until", "label"), "BIGINT")
    return {
        **numbers.tables(),
        "tenancy": Table.of(times, tenancy),
        "service": Table.of({"place": "BIGINT"}, service),
        "pod": Table.of({"place": "BIGINT"}, pod),
        "declared": Table.of({"protocol": "INT", "tip": "BIGINT"}, sorted(declared)),
        "word": Table.of({"kind": "STRING", "text": "STRING", "number": "INT"}, _words()),
    }


def spans(tenancies: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int, int, int]]:
    """What `Timeline.find` answers about one address, as a table that one join looks up.

    Args:
        tenancies: (start, end, label) by start.

    Returns:
        (since, until, met_from, met_until, label): of what began from `since` to before `until`, what ended before
        `met_from` met nobody, what ended from `met_until` on met several; what lies between met the owner of the label,
        which is AMBIGUOUS_TENANCY where somebody unknown held the address before.
    """
    ends = {end + SKEW for _, end, _ in tenancies if end < FOREVER}
    starts = {start - SKEW for start, _, _ in tenancies if start > BEGINNING}
    cuts = sorted({_LEAST, *ends, *starts})
    result = []
    for since, until in zip(cuts, [*cuts[1:], _MOST], strict=True):
        living = [one for one in tenancies if one[1] >= FOREVER or one[1] + SKEW > since]
        if living:
            start, _, label = living[0]
            later = living[1][0] - SKEW if len(living) > 1 else _MOST
            known = start <= BEGINNING or start - SKEW <= since
            result.append((since, until, start - SKEW, later, label if known else AMBIGUOUS_TENANCY))
    return result


def _words() -> list[tuple[str, str, int]]:
    words = [("protocol", protocol_name(number), number) for number in range(256)]
    words += [("outcome", outcome.label, int(outcome)) for outcome in Outcome]
    return words + [("direction", direction.label, int(direction)) for direction in Direction]
