"""Hostile text in a real browser: nothing of it runs, nothing is asked for, nothing is said on the console.

And axe-core, which knows the rules for those who hear a page or walk it by keyboard.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from axe_playwright_python.sync_playwright import Axe

from netpol.view.as_json import json_pieces
from tests.view.browser import Viewer
from tests.view.drawn import HOSTILE, hostile
from tests.view.large import large_graph

if TYPE_CHECKING:
    from netpol.view.flow_graph import FlowGraph

Tab = Callable[..., Viewer]

MARKUP = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>alert(1)",
    "javascript:alert(1)",
    "\u202etxt.exe",
    "${alert(1)}",
    "__proto__",
)


def all_of_it() -> FlowGraph:
    """Every hostile text in every place, in one graph."""
    graphs = [hostile(text) for text in (*HOSTILE, *MARKUP)]
    nodes = {node.id: node for graph in graphs for node in graph.nodes}
    return replace(
        graphs[0],
        nodes=tuple(nodes.values()),
        edges=tuple(edge for graph in graphs for edge in graph.edges),
        unseen=(*HOSTILE, *MARKUP),
        left_out=dict.fromkeys((*HOSTILE, *MARKUP), 1),
    )


@pytest.fixture
def page(viewer: Tab) -> Viewer:
    opened = viewer()
    opened.page.add_init_script("window.alert = () => { window.ran = true; console.error('it ran'); }")
    opened.show(all_of_it(), "#namespace=<img src=x onerror=alert(1)>&node=__proto__&open=constructor&ask=from&about=x")
    return opened


def test_nothing_runs_wherever_it_is_shown(page: Viewer) -> None:
    assert page.data() == json.loads("".join(json_pieces(all_of_it())))
    for state in ("open-all", "close-all", "open-all"):
        page.page.locator(f"#{state}").click()
    page.page.get_by_role("tab", name="Workloads").click()
    for button in page.page.locator("#list-pane .link").all()[::4]:
        button.click()
        page.page.get_by_role("button", name="What can it reach?").click()
        page.page.get_by_role("tab", name="Workloads").click()
    for row in page.page.locator("tbody tr[data-index]").all()[::6]:
        row.click()
    for text in (*HOSTILE[::5], *MARKUP):
        page.page.get_by_role("combobox", name="Search").fill(text.replace("\x00", ""))
    assert page.page.evaluate("window.ran") is None
    # Whatever was shown, no kind of element has come that netpol does not make.
    kinds = page.page.evaluate("[...document.querySelectorAll('*')].map(one => one.localName)")
    assert not {"img", "iframe", "object", "base"} & set(kinds)
    assert kinds.count("script") == 3


def test_what_is_read_is_in_the_order_in_which_it_stands(page: Viewer) -> None:
    shown = page.page.locator("body").inner_text() + "".join(page.shapes())
    hidden = [character for character in shown if not character.isprintable() and character not in "\n\t"]
    assert hidden == []
    assert "\\u202etxt.exe" in shown


def test_a_saved_picture_is_well_formed_and_holds_text_alone(page: Viewer) -> None:
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name="SVG", exact=True).click()
    drawn = ET.parse(download.value.path()).getroot()  # noqa: S314 - our own output
    tags = {element.tag.rpartition("}")[2] for element in drawn.iter()}
    assert tags <= {"svg", "title", "defs", "marker", "path", "rect", "g", "text"}


SERIOUS = {"serious", "critical"}


def faults(page: Viewer) -> list[Any]:
    found = Axe().run(page.page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS]


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_axe_finds_no_serious_fault(viewer: Tab, theme: str, width: int) -> None:
    page = viewer(color_scheme=theme, viewport={"width": width, "height": 800})
    page.show(large_graph(30, 90, namespaces=3))
    assert faults(page) == []
    panes = page.page.get_by_role("tab").all()
    for tab in panes:
        if tab.is_visible():
            tab.click()
            assert faults(page) == []
    page.page.get_by_role("combobox", name="Search").fill("w001")
    assert faults(page) == []
    page.page.get_by_role("combobox", name="Search").press("Enter")
    page.page.get_by_role("tab", name="Details").click()
    page.page.get_by_role("button", name="What can reach it?").click()
    assert faults(page) == []
    page.page.get_by_role("button", name="Path to").click()
    page.page.get_by_role("button", name="Link").click()
    assert faults(page) == []
