"""The page as people use it: with the mouse and by keyboard, light and dark, wide and narrow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import networkx as nx
import pytest

from netpol.model.flow import UDP, Direction, Outcome
from netpol.view.as_json import json_pieces
from netpol.view.flow_graph import State
from tests.graph.world import flow, inventory, pod
from tests.view.browser import CY, Viewer
from tests.view.drawn import graph_of

if TYPE_CHECKING:
    from netpol.view.flow_graph import FlowGraph

Tab = Callable[..., Viewer]

WEB, WEB2 = (pod(f"web-{at}", {"app": "web"}, owner="web", node=f"n{at}") for at in (1, 2))
API = pod("api-1", {"app": "api", "tier": "back"}, owner="api", ports=[8080])
CRON = pod("cron-1", {"app": "cron"}, owner="cron", kind="CronJob")
DB = pod("db-1", {"app": "db"}, owner="db", kind="StatefulSet", namespace="data")
DNS = pod("dns-1", {"k8s-app": "kube-dns"}, owner="coredns", namespace="kube-system")
HOUR = 3600


@cache
def shop() -> FlowGraph:
    """Web to API to database, from outside, with DNS; an attempt that was refused; ten hours."""
    return graph_of(
        [
            flow("203.0.113.1", WEB, 443, at=0),
            flow(WEB, API, 8080, at=1, connections=3),
            flow(WEB2, API, 8080, at=9.5 * HOUR),
            flow(API, DB, 5432, at=2 * HOUR, connections=40),
            flow(CRON, DB, 5432, at=5 * HOUR),
            flow(CRON, API, 22, at=5 * HOUR, outcome=Outcome.REFUSED),
            flow(API, DNS, 53, at=2 * HOUR, protocol=UDP),
            flow(WEB, DNS, 53, at=2 * HOUR, protocol=UDP),
            flow(WEB, API, None, protocol=1),
            flow(CRON, WEB, None, at=5 * HOUR, protocol=UDP, direction=Direction.UNKNOWN),
        ],
        inventory([WEB, WEB2, API, CRON, DB, DNS]),
    )


@cache
def edges() -> list[dict[str, Any]]:
    """The shop's edges as `-o json` has them."""
    found: list[dict[str, Any]] = json.loads("".join(json_pieces(shop())))["edges"]
    return found


def usual() -> list[dict[str, Any]]:
    """What is shown at first."""
    return [edge for edge in edges() if edge["state"] != "not-for-policies"]


@pytest.fixture
def page(viewer: Tab) -> Viewer:
    opened = viewer()
    opened.show(shop())
    return opened


def test_it_shows_each_edge_in_the_table_and_namespaces_as_boxes(page: Viewer) -> None:
    assert page.data() == json.loads("".join(json_pieces(shop())))
    assert page.rows() == len(usual())
    assert set(page.shapes("open")) == {"data", "kube-system", "shop"}
    row = page.row("shop/api", "data/db", "TCP/5432")
    assert row.locator(".c-seen").inner_text() == "40"
    assert row.locator(".c-rule").inner_text() == "data/db:ingress[0], shop/api:egress[0]"
    assert "refused" in page.row("shop/cron", "TCP/22").inner_text()


def test_usual_traffic_with_hubs_is_a_badge_until_it_is_unfolded(page: Viewer) -> None:
    hub = "n kube-system/coredns[Deployment]"
    assert hub not in {end for source, target, _ in page.lines() for end in (source, target)}
    assert {"api\n\u2192 DNS", "web\n\u2192 DNS", "coredns \u2b21 DNS", "cron"} <= set(page.shapes("member"))
    page.page.get_by_label("fold hubs").uncheck()
    assert {source for source, target, _ in page.lines() if target == hub} == {
        "n shop/api[Deployment]",
        "n shop/web[Deployment]",
    }
    assert {"api", "web"} <= set(page.shapes("member"))


def test_a_row_that_is_selected_is_marked_in_the_picture_and_told_in_full(page: Viewer) -> None:
    row = page.row("shop/api", "data/db", "TCP/5432")
    row.click()
    assert row.get_attribute("aria-selected") == "true"
    (line,) = page.chosen()
    assert "n data/db[StatefulSet]" in line
    told = page.page.locator("#details-pane").inner_text()
    for text in ("40 (established 40)", "1970-01-01 02:00:00", "api-1", "db-1", "data/db:ingress[0]", "syn 40"):
        assert text in told


def test_a_line_that_is_pointed_at_is_marked_in_the_table(page: Viewer) -> None:
    page.click_line("n shop/cron[CronJob]", "n shop/api[Deployment]", "quarantined")
    page.page.locator("#details-pane article").wait_for()
    (row,) = page.page.locator("tr[aria-selected=true]").all()
    assert "TCP/22" in row.inner_text()


def test_a_workload_that_is_pointed_at_is_told_of_and_its_rows_are_marked(page: Viewer) -> None:
    page.click_shape("n shop/api[Deployment]")
    page.page.get_by_role("heading", name="shop/api").wait_for()
    told = page.page.locator("#details-pane").inner_text()
    assert "tier=back" in told
    own = [edge for edge in usual() if "shop/api[Deployment]" in {edge["source"], edge["destination"]}]
    assert page.page.locator("tr[aria-selected=true]").count() == len(own)
    page.page.keyboard.press("Tab")


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("postgres db", "data/db"),
        ("app=cron", "shop/cron"),
        ("203.0.113.1", "external 203.0.113.1"),
        ("web-2", "shop/web"),
        ("udp/53", "kube-system/coredns"),
    ],
)
def test_search_finds_names_labels_addresses_pods_and_ports(page: Viewer, text: str, heading: str) -> None:
    box = page.page.get_by_role("combobox", name="Search")
    box.fill(text.removeprefix("postgres "))
    assert page.page.get_by_role("option").first.inner_text() == heading
    box.press("ArrowDown")
    box.press("Enter")
    page.page.get_by_role("heading", name=heading).wait_for()


def test_search_says_when_nothing_is_found_and_escape_ends_it(page: Viewer) -> None:
    box = page.page.get_by_role("combobox", name="Search")
    box.fill("nowhere")
    assert "nothing has nowhere" in page.page.locator("#found").inner_text()
    box.press("Escape")
    assert box.input_value() == ""
    assert page.page.locator("#found").is_hidden()


def test_filters_leave_what_they_say(page: Viewer) -> None:
    form = page.page.locator("#filters")
    form.get_by_label("Namespace").select_option("data")
    assert page.rows() == sum("data/db[StatefulSet]" in {edge["source"], edge["destination"]} for edge in usual())
    form.get_by_label("Namespace").select_option("")
    form.get_by_label("Protocol").select_option("UDP")
    assert page.rows() == sum("UDP" in edge["protocols"] for edge in usual())
    form.get_by_label("Protocol").select_option("")
    form.get_by_label("Port").fill("20-22, 443")
    assert page.rows() == sum(edge["port"] in {22, 443} for edge in usual())
    form.get_by_label("Port").fill("8080-")
    assert form.get_by_label("Port").get_attribute("aria-invalid") == "true"
    form.get_by_label("Port").fill("")
    form.get_by_label("Least").fill("4")
    assert page.rows() == sum(edge["seen"]["connections"] >= 4 for edge in usual())
    form.get_by_role("button", name="Show all").click()
    assert page.rows() == len(usual())


def test_the_legend_counts_and_filters_states(page: Viewer) -> None:
    legend = page.page.get_by_role("group", name="Connections")
    quarantined = [edge for edge in edges() if edge["state"] == "quarantined"]
    assert f"quarantined{len(quarantined)}" in re.sub(r"\s", "", legend.inner_text())
    legend.get_by_label("quarantined").uncheck()
    assert page.rows() == len(usual()) - len(quarantined)
    legend.get_by_label("no policy speaks of it").check()
    assert page.rows() == len(edges()) - len(quarantined)


def test_the_slider_shows_what_was_active_then(page: Viewer) -> None:
    time = page.data()["time"]
    first = 4 * HOUR // time["bin_seconds"]
    slider = page.page.get_by_role("slider", name="From")
    slider.evaluate(
        "(one, value) => { one.value = value; one.dispatchEvent(new Event('input', {bubbles: true})); }", str(first)
    )
    later = [edge for edge in usual() if any(high >= first for _, high in edge["seen"]["active"])]
    assert 0 < len(later) < len(usual())
    assert page.rows() == len(later)
    assert slider.get_attribute("aria-valuetext") == "from 1970-01-01 04:00:00"
    slider.press("Home")
    assert page.rows() == len(usual())


def test_columns_sort(page: Viewer) -> None:
    heading = page.page.locator("th.c-seen")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    counts = [int(text) for text in page.page.locator("td.c-seen").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    heading.get_by_role("button").click()
    assert [int(text) for text in page.page.locator("td.c-seen").all_inner_texts()] == counts[::-1]


def permitted() -> nx.DiGraph[str]:
    found: nx.DiGraph[str] = nx.DiGraph()
    for edge in edges():
        if edge["state"] in {"allowed-used", "new", "allowed-unused"}:
            found.add_edge(edge["source"], edge["destination"])
    return found


@pytest.mark.parametrize("node", ["shop/api[Deployment]", "shop/web[Deployment]", "data/db[StatefulSet]"])
def test_what_can_reach_it_and_what_it_can_reach_are_what_networkx_says(page: Viewer, node: str) -> None:
    page.click_shape(f"n {node}")
    for question, expected in (
        ("What can reach it?", nx.ancestors(permitted(), node)),
        ("What can it reach?", nx.descendants(permitted(), node)),
    ):
        page.page.get_by_role("button", name=question).click()
        answer = page.page.locator("#answer")
        told = {text.split("[")[0] for text in answer.locator("li .link").all_inner_texts()}
        assert told == {name.split("[")[0] for name in expected}
        answer.get_by_role("button", name="Close").click()


def test_a_path_between_two_is_a_shortest_one(page: Viewer) -> None:
    page.click_shape("n shop/web[Deployment]")
    page.page.get_by_role("button", name="Path to").click()
    page.page.get_by_label("End of the path").select_option("data/db[StatefulSet]")
    steps = page.page.locator("#answer li").all_inner_texts()
    assert steps == ["shop/web \u2192 shop/api TCP/8080", "shop/api \u2192 data/db TCP/5432"]
    assert len(steps) == nx.shortest_path_length(permitted(), "shop/web[Deployment]", "data/db[StatefulSet]")
    page.page.get_by_label("End of the path").select_option("external 203.0.113.1")
    assert "No way leads there" in page.page.locator("#answer").inner_text()


def test_a_link_shows_the_same_to_the_next_person(page: Viewer, viewer: Tab) -> None:
    page.page.locator("#filters").get_by_label("Namespace").select_option("shop")
    page.page.locator("#filters").get_by_label("Port").fill("8080")
    page.click_shape("n shop/api[Deployment]")
    page.page.get_by_role("button", name="What can reach it?").click()
    page.page.get_by_role("button", name="Link").click()
    link = page.page.get_by_label("Link to what is shown").last.input_value()
    page.page.get_by_role("button", name="Close", exact=True).click()
    other = viewer()
    other.open(page.folder / "graph.html", f"#{link.partition('#')[2]}")
    assert other.rows() == page.rows() == 1
    assert other.page.locator("#answer").inner_text() == page.page.locator("#answer").inner_text()
    assert other.chosen() == page.chosen()


def test_pictures_are_saved(page: Viewer, tmp_path: Path) -> None:
    for name in ("PNG", "SVG"):
        with page.page.expect_download() as download:
            page.page.get_by_role("button", name=name, exact=True).click()
        download.value.save_as(tmp_path / name)
    assert (tmp_path / "PNG").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    drawn = ET.parse(tmp_path / "SVG").getroot()  # noqa: S314 - our own output
    texts = {"".join(element.itertext()) for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"api", "web", "cron", "db", "data", "TCP/5432"} <= texts
    dashed = [one for one in drawn.iter("{http://www.w3.org/2000/svg}path") if one.get("stroke-dasharray")]
    assert len(dashed) == len([line for line in page.lines() if "quarantined" in line[2]])


def test_dark_follows_the_system_and_the_button(viewer: Tab) -> None:
    page = viewer(color_scheme="dark")
    page.show(shop())

    def ground() -> str:
        return str(page.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = ground()
    page.page.get_by_role("button", name="Dark mode").click()
    assert (dark, ground()) == ("rgb(20, 24, 31)", "rgb(255, 255, 255)")
    assert page.page.get_by_role("button", name="Dark mode").get_attribute("aria-pressed") == "false"


def test_a_narrow_screen_shows_one_part_at_a_time_and_never_scrolls_aside(viewer: Tab) -> None:
    page = viewer(viewport={"width": 390, "height": 844})
    page.show(shop())
    for tab, pane in (("Connections", "table"), ("Workloads", "list"), ("Details", "details"), ("Graph", "graph")):
        page.page.get_by_role("tab", name=tab).click()
        panes = ("graph", "table", "details", "list")
        assert [name for name in panes if page.page.locator(f"#{name}-pane").is_visible()] == [pane]
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click_shape("n shop/api[Deployment]")
    page.page.get_by_role("tab", name="Details").click()
    assert page.page.get_by_role("heading", name="shop/api").is_visible()


def test_the_picture_is_walked_by_keyboard(page: Viewer) -> None:
    graph = page.page.get_by_role("application")
    graph.focus()
    graph.press("ArrowRight")
    heard = {page.page.locator("#status").inner_text()}
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp"):
        graph.press(key)
        heard.add(page.page.locator("#status").inner_text())
    assert len(heard) > 2
    graph.press(" ")
    assert len(page.shapes("closed")) == 1
    graph.press("Enter")
    assert page.page.locator("#details-pane h2").first.inner_text() != "The capture"


def test_the_table_is_walked_by_keyboard(page: Viewer) -> None:
    page.page.locator("tbody tr[tabindex='0']").focus()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    assert page.page.locator("tr[aria-rowindex='3']").get_attribute("aria-selected") == "true"
    page.page.keyboard.press("End")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-rowindex')") == str(page.rows() + 1)


def test_the_list_of_workloads_opens_closes_and_selects(page: Viewer) -> None:
    page.page.get_by_role("tab", name="Workloads").click()
    page.page.get_by_role("button", name="shop", exact=False).and_(page.page.locator("[aria-expanded]")).click()
    assert len(page.shapes("closed")) == 1
    page.page.get_by_role("button", name="db [StatefulSet]").click()
    assert page.chosen() == {"n data/db[StatefulSet]"}


def test_other_data_in_the_same_page_keeps_what_was_chosen(page: Viewer) -> None:
    page.page.locator("#filters").get_by_label("Protocol").select_option("TCP")
    page.row("shop/api", "data/db", "TCP/5432").click()
    data = page.data()
    for edge in data["edges"]:
        edge["id"] = f"x{edge['id']}"
        if edge["port"] == 5432:
            edge["seen"]["connections"] += 2
    page.page.evaluate("graph => window.netpol.replace(graph)", data)
    assert page.row("shop/api", "data/db", "TCP/5432").locator(".c-seen").inner_text() == "42"
    assert page.row("shop/api", "data/db", "TCP/5432").get_attribute("aria-selected") == "true"
    assert page.rows() == sum("TCP" in edge["protocols"] for edge in usual())


def test_an_empty_graph_is_a_page_too(viewer: Tab) -> None:
    page = viewer()
    page.show(graph_of([], inventory([])))
    assert page.rows() == 0
    assert "nothing was seen" in page.page.locator("#details-pane").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_states_are_told_apart_by_colour_and_without_it(viewer: Tab, theme: str) -> None:
    (first, *_) = (edge for edge in shop().edges if edge.sighting)
    page = viewer(color_scheme=theme)
    page.show(replace(shop(), edges=tuple(replace(first, state=state) for state in State)))
    page.page.get_by_label("no policy speaks of it").check()
    drawn = page.page.evaluate(
        f"{CY}.edges().map(one => [one.style('line-color'), one.style('line-style') + one.style('line-dash-pattern'),"
        " one.style('width')])"
    )
    assert len(drawn) == len(State)
    assert len({colour for colour, _, _ in drawn}) == len(State)
    assert len({(dashes, width) for _, dashes, width in drawn}) == len(State)
    # The swatches of the legend are the same lines.
    swatches = page.page.evaluate(
        "[...document.querySelectorAll('#legend line')].map(one => getComputedStyle(one).stroke)"
    )
    assert {re.sub(r"\s", "", colour) for colour in swatches} == {re.sub(r"\s", "", colour) for colour, _, _ in drawn}
