"""The answer as a table of flows, as `netpol.flows.assemble` makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netpol.flows.evidence import has_port
from netpol.flows.rows import ROW, Rows, in_order_of_keys
from netpol.flows.table import FlowTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netpol.edges.engine import Columns
    from netpol.edges.tables import Numbers


def table_of(answer: Columns, numbers: Numbers, notes: Mapping[str, int]) -> FlowTable:
    """The rows of the answer, whose labels are tenancies, in the order of their keys."""
    rows: Rows = np.zeros(len(answer["client"]), ROW)
    for end in ("client", "server"):
        rows["family"], rows[f"{end}_high"], rows[end] = numbers.words(answer[end])
    rows["client_tenancy"], rows["server_tenancy"] = answer["source"], answer["destination"]
    for name in ("connections", "packets", "bytes", "first", "last", "port", "protocol", "outcome", "direction"):
        rows[name] = answer[name]
    rows["two_way"] = answer["two_way"] != 0
    rows["minutes"] = answer["minutes"].astype(np.uint64)
    # Protocols without ports have no connections to count, only pairs of addresses; and what was counted in an hour
    # that is not asked for is there all the same.
    rows["connections"] = np.where(has_port(rows["protocol"]), np.maximum(rows["connections"], 1), 1)
    return FlowTable(rows.take(in_order_of_keys(rows)), notes=notes)
