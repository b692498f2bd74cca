"""The page of `netpol graph -o html` in a real browser, handled as a person does."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netpol.view.page import page_pieces

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Locator, Page

    from netpol.view.flow_graph import FlowGraph

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CY = "document.getElementById('graph')._cyreg.cy"
"""cytoscape's own handle on its canvas: where things are drawn, to point at them."""


@dataclass(kw_only=True)
class Viewer:
    """One opened page.

    Attributes:
        said: What was on the console, and every error, dialog and request but the one for the page itself.
    """

    page: Page
    folder: Path
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, context: BrowserContext, folder: Path) -> Viewer:
        """An empty tab that listens."""
        page = context.new_page()
        viewer = cls(page=page, folder=folder)
        page.on("console", lambda message: viewer.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: viewer.said.append(f"error: {error}"))
        page.on("request", lambda request: viewer._asked(request.url))

        def refuse(dialog: Any) -> None:
            viewer.said.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("dialog", refuse)
        return viewer

    def _asked(self, url: str) -> None:
        if not url.startswith(self.folder.as_uri()):
            self.said.append(f"request: {url}")

    def show(self, graph: FlowGraph, link: str = "") -> None:
        """Writes the page to a file and opens that, as a person does with what netpol printed."""
        path = self.folder / "graph.html"
        path.write_text("".join(page_pieces(graph)), encoding="utf-8")
        self.open(path, link)

    def open(self, path: Path, link: str = "") -> None:
        """Opens a file, and waits until the page answers."""
        self.page.goto("about:blank")
        self.page.goto(f"{path.as_uri()}{link}")
        self.page.wait_for_selector("html[data-ready]", timeout=100_000)

    def data(self) -> Any:
        """The graph that the page holds."""
        return json.loads(self.page.locator("#netpol-data").text_content() or "")

    def rows(self) -> int:
        """How many edges the table has, in view or not."""
        return int(self.page.get_attribute("table[role=grid]", "aria-rowcount") or 0) - 1

    def row(self, *texts: str) -> Locator:
        """The one row with these texts."""
        found = self.page.locator("tbody tr[data-index]")
        for text in texts:
            found = found.filter(has_text=text)
        return found

    def shapes(self, kind: str = "") -> list[str]:
        """The labels of what is drawn: of `open` and `closed` boxes, or of `member`s."""
        wanted = f".{kind}" if kind else ""
        found: list[str] = self.page.evaluate(f"{CY}.nodes('{wanted}').map(one => one.data('label'))")
        return found

    def lines(self) -> set[tuple[str, str, str]]:
        """(source, target, classes) of each line that is drawn."""
        found = self.page.evaluate(
            f"{CY}.edges().map(one => [one.source().id(), one.target().id(), one.classes().join(' ')])"
        )
        return {tuple(one) for one in found}

    def chosen(self) -> set[str]:
        """The ids of what stands out."""
        return set(self.page.evaluate(f"{CY}.elements('.chosen').map(one => one.id())"))

    def click_shape(self, name: str) -> None:
        """Points at a box: at its upper edge where it is open."""
        self._click(
            f"(() => {{ const one = {CY}.getElementById({name!r}); const box = one.renderedBoundingBox("
            "{includeLabels: false}); return one.isParent() ? {x: (box.x1 + box.x2) / 2, y: box.y1 + 4} : "
            "one.renderedPosition(); })()"
        )

    def click_line(self, source: str, target: str, state: str) -> None:
        """Points at the middle of a line."""
        self._click(
            f"(() => {{ const line = {CY}.edges('.{state}').filter(one => one.source().id() === {source!r} && "
            f"one.target().id() === {target!r})[0]; const at = line.midpoint(), zoom = {CY}.zoom(), pan = {CY}.pan();"
            " return {x: at.x * zoom + pan.x, y: at.y * zoom + pan.y}; })()"
        )

    def _click(self, place: str) -> None:
        self._draw()
        at = self.page.evaluate(place)
        box = self.page.locator("#graph").bounding_box()
        assert box
        self.page.mouse.click(box["x"] + at["x"], box["y"] + at["y"])
        self._draw()

    def _draw(self) -> None:
        """Waits for the next frame: what is shown anew is brought into view, and drawn, in one."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
