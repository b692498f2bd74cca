"""When two initial sequence numbers name a connection, and when they do not.

They are random, so that two connections do not share both. But packets that a program made up, a replayed capture or
a simple stack may carry the same numbers in every connection; taking those for views of one would make one flow of
all. What address translation can do to one connection tells them apart: it may rewrite the client once and the server
twice (a load balancer's address, a Service's, the pod's), and never turns one pod into another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netpol.flows.knowledge import Knowledge
    from netpol.flows.records import Records

_MOST_CLIENTS: Final = 2
_MOST_SERVERS: Final = 3

_CLIENT: Final = ("low", "low_high")
_SERVER: Final = ("high", "high_high")


def told_apart(views: Records, group: NDArray[np.intp], knowledge: Knowledge | None) -> NDArray[np.intp]:
    """Divides groups of views that cannot be of one connection: by their clients' ends, and wholly if that fails too.

    Args:
        views: With the client as the low end.
        group: intp[n]: the views of equal number have the same protocol, time and initial sequence numbers.
        knowledge: Tells which addresses are pods'.

    Returns:
        intp[n]: the same, finer where it has to be.
    """
    wrong = _is_several(views, group, knowledge)
    if not wrong.any():
        return group
    by_client = _numbered(group, *(np.where(wrong, views[name], 0) for name in (*_CLIENT, "low_port")))
    still = wrong & _is_several(views, by_client, knowledge)
    return _numbered(by_client, np.where(still, np.arange(1, len(views) + 1), 0))


def _is_several(views: Records, group: NDArray[np.intp], knowledge: Knowledge | None) -> NDArray[np.bool_]:
    """bool[n]: the view's group holds more than one connection."""
    clients = _distinct(group, *(views[name] for name in _CLIENT))
    servers = _distinct(group, *(views[name] for name in _SERVER))
    ends = [views[name] for name in (*_CLIENT, *_SERVER)]
    again = _distinct(group, *ends, views["low_port"]) > _distinct(group, *ends)
    found = (clients > _MOST_CLIENTS) | (servers > _MOST_SERVERS) | again
    if knowledge is not None:
        for low, high in ((views["low"], views["low_high"]), (views["high"], views["high_high"])):
            pods = np.flatnonzero(knowledge.pods(views["family"], np.stack([high, low], axis=1)))
            found |= _distinct(group[pods], low[pods], high[pods], groups=len(found)) > 1
    result: NDArray[np.bool_] = found[group]
    return result


def _distinct(group: NDArray[np.intp], *columns: NDArray[np.generic], groups: int = 0) -> NDArray[np.intp]:
    """intp[groups]: how many different rows each group has."""
    order = np.lexsort((*columns, group))
    return np.bincount(group[order][_starts(order, group, *columns)], minlength=groups)


def _numbered(*columns: NDArray[np.generic]) -> NDArray[np.intp]:
    """intp[n]: equal rows have the same number, from 0."""
    order = np.lexsort(columns)
    result = np.empty(len(order), np.intp)
    result[order] = np.cumsum(_starts(order, *columns)) - 1
    return result


def _starts(order: NDArray[np.intp], *columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """bool[n]: the row differs from the one before it in this order."""
    new = np.zeros(len(order), np.bool_)
    new[:1] = True
    for column in columns:
        ordered = column[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return new
