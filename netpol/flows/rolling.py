"""Assembly hour by hour: what was counted in one hour goes on in the next without being counted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from netpol.flows.assemble import Assembly
from netpol.flows.evidence import has_port, outcomes
from netpol.flows.limits import LONG_IDLE, SILENCE, Limits
from netpol.flows.records import Records, stacked
from netpol.flows.views import folded_by, kept_together

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netpol.flows.assemble import Item
    from netpol.flows.knowledge import Knowledge
    from netpol.flows.table import FlowTable

FIRST_MINUTE: Final = np.uint64(1)


def roll(
    items: Iterable[Item],
    begin: int,
    end: int,
    *,
    knowledge: Knowledge | None = None,
    limits: Limits | None = None,
) -> tuple[FlowTable, Records]:
    """The flows of one hour, and the connections that may go on.

    Each packet is in the rows of one hour. A connection counts in the hour of its first row; in later ones it has its
    packets, and `connections` 0. What began less than 120 s before the end is left to the next hour as a whole: what
    becomes of it shows only then. So the rows of all hours, with what `assemble` makes of the last connections that may
    go on, are those that `assemble` makes of everything, but for directions that only other connections tell of: these
    are decided by what was seen up to the hour.

    Args:
        items: The connections that the hour before left, then what was recorded in this one.
        begin: Nanoseconds since the Unix epoch.
        end: Where the hour ends.
        knowledge: As in `assemble`.
        limits: As in `assemble`.
    """
    assembly = Assembly(knowledge, limits or Limits(), begin=begin)
    for item in items:
        assembly.take(item)
    staying = assembly.pause(end)
    fresh = kept_together(staying, (staying["first"] > end - SILENCE) | (staying["packets"] == 0), knowledge)
    settled = staying.compress(~fresh)
    assembly.close(settled)
    untold = staying.compress(fresh)
    untold["minutes"] = np.where(untold["minutes"] != 0, FIRST_MINUTE, np.uint64(0))
    return assembly.finish(counted_before=True), stacked([untold, _told(settled, end, knowledge)])


def _told(records: Records, end: int, knowledge: Knowledge | None) -> Records:
    """The views of connections that were counted, each with one packet instead of those that were."""
    if not len(records):
        return records
    whole, place = folded_by(records, knowledge)
    result = records.copy()
    result["told"] = outcomes(whole)[place] + 1
    result["packets"], result["bytes"], result["minutes"] = 1, 0, 0
    # What has no ports is never over: it would be carried on for ever.
    return result.compress(has_port(result["protocol"]) | (result["last"] > end - LONG_IDLE))
