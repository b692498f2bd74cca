"""Names that are heard one window after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.names.table import Limits, Names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from netpol.capture.name_evidence import Answers, Greeting
    from netpol.capture.views import Ints
    from netpol.names.part import NamesPart


class Relay:
    """A `netpol.capture.name_evidence.NameSink` whose table begins anew with each window."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits
        self._names = Names(limits)

    def part(self) -> NamesPart:
        """What was heard since the last time."""
        names, self._names = self._names, Names(self._limits)
        return names.part()

    def take_answers(self, answers: Answers) -> None:
        """Passed on."""
        self._names.take_answers(answers)

    def take_greetings(self, greetings: Sequence[Greeting]) -> None:
        """Passed on."""
        self._names.take_greetings(greetings)

    def take_questions(self, clients: NDArray[np.uint64], exchange: NDArray[np.uint64], time: Ints) -> None:
        """Passed on."""
        self._names.take_questions(clients, exchange, time)

    def take_hidden(self, client: tuple[int, int], server: tuple[int, int], protocol: int) -> None:
        """Passed on."""
        self._names.take_hidden(client, server, protocol)

    def count(self, what: str, number: int) -> None:
        """Passed on."""
        self._names.count(what, number)
