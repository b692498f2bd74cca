"""The flow graph as one page of HTML, which works from disk and asks nobody for anything.

The page is a shell and data. The shell (`web/src`, built when netpol is installed) is the same for every graph: style,
script, and a Content-Security-Policy that names both by their hashes and allows nothing else. The data is the text of
`netpol graph -o json` in an element that no browser executes; `<`, `>` and `&` stand in it as JSON escapes, so that no
name can end that element (HTML, 4.12.1.3).

For whoever serves the page with data that change: `window.netpol.replace(graph)` shows another graph of the same shape
in the same shell, and keeps filter, opened boxes and selection where the new graph still has them. `live=True` lets the
page connect to the server it came from, and to nobody else.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from netpol.errors import UsageError
from netpol.view.as_json import json_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.view.flow_graph import FlowGraph

MARK = "<!doctype html><!-- Written by netpol: edits are lost when it runs again. -->\n"
"""First line of every page."""

_DATA = "@@data@@"
_SILENT, _LIVE = "connect-src 'none'", "connect-src 'self'"
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""Outside of strings JSON has none of them."""


def page_pieces(graph: FlowGraph, *, live: bool = False, more: Mapping[str, Any] | None = None) -> Iterator[str]:
    """The page, in pieces; ASCII but for the shell's own text.

    Args:
        graph: What it shows.
        live: It may connect to the server that it came from.
        more: Further keys of the graph's JSON, for panels that a served page has.

    Raises:
        UsageError: This installation has no shell.
    """
    head, tail = _shell()
    yield head.replace(_SILENT, _LIVE) if live else head
    for piece in json_pieces(graph, more):
        yield piece.translate(_ESCAPES)
    yield tail


def require() -> None:
    """Finds out before the work is done.

    Raises:
        UsageError: This installation has no shell.
    """
    _shell()


def _file() -> resources.abc.Traversable:
    return resources.files("netpol.view.web") / "dist" / "page.html"


@cache
def _shell() -> tuple[str, str]:
    """What stands before and behind the data."""
    try:
        text = _file().read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(
            "this installation of netpol has no HTML viewer: it could not be built when netpol was installed, "
            "because npm or its registry was out of reach",
            remedy="Install it again with a network (pip install --force-reinstall --no-deps), or from a wheel that "
            "has the viewer. -o json, graphml, gexf, cytoscape and dot need none",
        ) from error
    head, _, tail = text.partition(_DATA)
    return head, tail
