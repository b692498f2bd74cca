"""What partial connections promise to those who assemble them: checked wherever they come from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netpol.flows.records import HIGH_CLIENT, NEVER, NO_CLIENT

if TYPE_CHECKING:
    from netpol.flows.records import Records


def check_records(records: Records) -> None:
    """Looks whether they keep the promises of `netpol.flows.records`.

    Raises:
        ValueError: They do not.
    """
    four = records["family"] == 4
    low = [records[name] for name in ("low_high", "low", "low_port")]
    high = [records[name] for name in ("high_high", "high", "high_port")]
    above = (low[0] > high[0]) | (
        (low[0] == high[0]) & ((low[1] > high[1]) | ((low[1] == high[1]) & (low[2] > high[2])))
    )
    wide = four & ((low[0] | high[0] | (low[1] | high[1]) >> np.uint64(32)) != 0)
    opened = records["side"] != NO_CLIENT
    answered, asked = records["synack"] != NEVER, records["syn"] != NEVER
    wrong = (
        ((~four) & (records["family"] != 6), "an address family that is none"),
        (above, "ends that are not in order"),
        (wide, "an IPv4 address of more than 32 bits"),
        ((records["side"] > NO_CLIENT), f"a side that is none of {HIGH_CLIENT - 1}, {HIGH_CLIENT} and {NO_CLIENT}"),
        (opened != (answered | asked), "a client without a handshake, or a handshake without a client"),
        ((records["first"] < 0) | (records["last"] < records["first"]), "a connection that ends before it begins"),
        ((records["packets"] < 0) | (records["bytes"] < 0), "a count below 0"),
        ((records["packets"] > 1 << 40) | (records["bytes"] > 1 << 50), "a count that no minute can hold"),
    )
    for rows, what in wrong:
        if rows.any():
            raise ValueError(what)
