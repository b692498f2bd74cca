"""What somebody else's table of names holds, as values: to be sent, kept and put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from netpol.capture.name_evidence import NameSink
from netpol.names.spans import SPAN, Rows
from netpol.names.texts import NO_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.model.host_name import HostName

Pair = tuple[int, int]
"""The two words of an address, as in `netpol.capture.name_evidence.packed`."""

ASKED: Final = np.dtype([("client", "u8", 2), ("counts", "u8", 5)])
"""What one client asked: questions, and responses by `AnswerOutcome`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class NamesPart:
    """What `netpol.names.table.Names` knew at some time.

    Attributes:
        names: Host names; the spans' `name` is an index into them, or NO_NAME.
        leases: SPAN[n]: where DNS answers led whom, until TTL and grace were over.
        greetings: SPAN[n]: ClientHellos and HTTP requests.
        asked: ASKED[n]: what each client asked.
        hidden: (client, server, IP protocol number, way) of who asked so that nobody could read it.
        counts: What was read for names, and what could not be, without what the spans tell.
        rejected: How many names were no host names.
        samples: A few of those, as they stood on the wire, with dots between their labels.
        forgotten: How many spans of leases and of greetings were let go of.
    """

    names: tuple[HostName, ...] = ()
    leases: Rows = field(default_factory=lambda: np.empty(0, SPAN))
    greetings: Rows = field(default_factory=lambda: np.empty(0, SPAN))
    asked: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0, ASKED))
    hidden: tuple[tuple[Pair, Pair, int, str], ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    samples: tuple[bytes, ...] = ()
    forgotten: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        for rows in (self.leases, self.greetings):
            if len(rows) and not (rows["name"].min() >= NO_NAME and rows["name"].max() < len(self.names)):
                msg = "a span refers to a name that is not there"
                raise ValueError(msg)


class NameTaker(NameSink, Protocol):
    """Takes evidence about names from packets, and from whoever read packets elsewhere."""

    def take_part(self, part: NamesPart) -> None:
        """What another table held."""
        ...
