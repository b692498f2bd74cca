"""The page with a thousand workloads: it opens on namespaces, and what is asked for is still found at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest

from netpol.view.as_json import json_pieces
from tests.view.browser import CY, Viewer
from tests.view.large import large_graph

GRAPH_SIZE = (1000, 3000)
"""Edges are fewer than in the benchmark: learning from 10,000 takes most of a minute on a busy machine."""


@pytest.fixture(scope="module")
def page(browser_tab: Callable[..., Viewer]) -> Viewer:
    opened = browser_tab()
    opened.show(large_graph(*GRAPH_SIZE))
    return opened


@pytest.fixture(autouse=True)
def fresh(page: Viewer) -> None:
    page.page.evaluate("location.hash = ''")
    page.page.locator("#close-all").click()


def test_it_opens_on_namespaces_whose_lines_add_up(page: Viewer) -> None:
    page.open(page.folder / "graph.html")
    assert page.shapes("open") == page.shapes("member") == []
    closed = page.shapes("closed")
    assert len(closed) == 22  # twenty namespaces, kube-system and the outside
    (team,) = (label for label in closed if label.startswith("team-07\n"))
    data = json.loads("".join(json_pieces(large_graph(*GRAPH_SIZE))))
    inside = sum(all(edge[end].startswith("team-07/") for end in ("source", "destination")) for edge in data["edges"])
    assert team.splitlines()[1:3] == ["50 workloads", f"{inside} edges inside"]
    between = {
        tuple(f"g namespace {edge[end].split('/')[0]}" for end in ("source", "destination"))
        for edge in data["edges"]
        if edge["state"] == "allowed-used" and edge["destination"].startswith("team")
    }
    lines = {
        (source, target) for source, target, classes in page.lines() if "allowed-used" in classes and "team" in target
    }
    assert lines == {pair for pair in between if pair[0] != pair[1]}


def test_a_box_opens_where_it_is_pointed_at_and_closes_again(page: Viewer) -> None:
    page.click_shape("g namespace team-07")
    page.page.get_by_role("heading", name="team-07").wait_for()
    assert page.shapes("open") == ["team-07"]
    assert len(page.shapes("member")) == 50
    page.page.get_by_role("button", name="Close the box").click()
    assert page.shapes("member") == []


def test_search_opens_the_box_of_what_it_finds(page: Viewer) -> None:
    box = page.page.get_by_role("combobox", name="Search")
    box.fill("w0612")
    box.press("Enter")
    page.page.get_by_role("heading", name="team-12/w0612").wait_for()
    assert page.shapes("open") == ["team-12"]
    assert page.chosen() == {"n team-12/w0612[Deployment]"}
    box.press("Escape")


def test_of_the_table_only_what_is_in_view_is_in_the_page(page: Viewer) -> None:
    assert page.rows() == len(large_graph(*GRAPH_SIZE).edges)
    assert page.page.locator("tbody tr[data-index]").count() < 100
    page.page.locator("tbody tr[tabindex='0']").focus()
    page.page.keyboard.press("End")
    last = page.page.locator(f"tr[aria-rowindex='{page.rows() + 1}']")
    last.wait_for()
    assert page.page.locator("tbody tr[data-index]").count() < 100


def test_all_boxes_open_without_one_lying_on_another(page: Viewer) -> None:
    page.page.locator("#open-all").click()
    shown = page.page.evaluate(f"{CY}.nodes('.member').map(one => one.boundingBox({{includeLabels: false}}))")
    assert len(shown) == len(large_graph(*GRAPH_SIZE).nodes)
    rows = sorted(shown, key=lambda box: (round(box["y1"]), box["x1"]))
    touching = [
        (one, other)
        for one, other in pairwise(rows)
        if round(one["y1"]) == round(other["y1"]) and one["x2"] > other["x1"]
    ]
    assert touching == []
