"""How long the page of `netpol graph -o html` takes until it can be used, on graphs that netpol makes of made-up flows.

Run by hand:

    python -m tests.benchmarks.viewer [WORKLOADS,EDGES ...]

Each page is opened from disk in headless Chromium, the sizes in turns. `open` is the time from the start of the
navigation until the page has painted twice and waits for input, and behind it stands its share of what is wanted: 2 s
for 60 workloads, 4 s for 1,000 workloads with 10,000 edges. `busy` is what the page's own thread spent of it, which
other work on the machine changes less. What follows is the same time for one thing that a person does: to filter by
port, to open the largest box, to open all of them, each from the event to the next frame.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playwright.sync_api import sync_playwright

from netpol.view.page import page_pieces
from tests.view.browser import CHROMIUM, FLAGS
from tests.view.large import large_graph

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZES = ((60, 300), (1_000, 10_000))
WANTED_SECONDS = {60: 2.0, 1_000: 4.0}
"""For graphs of at most so many workloads."""
ROUNDS = 5

_TIMED = """(act) => new Promise((done) => {
  const begin = performance.now();
  (0, eval)(act);
  requestAnimationFrame(() => requestAnimationFrame(() => done((performance.now() - begin) / 1000)));
})"""
_ACTS = {
    "filter": "{ const one = document.getElementById('f-port'); one.value = '443'; "
    "one.dispatchEvent(new Event('input', {bubbles: true})); }",
    "all": "document.getElementById('f-reset').click()",
    "box": "document.getElementById('graph')._cyreg.cy.nodes('.closed')[0]?.emit('tap')",
    "open all": "document.getElementById('open-all').click()",
}


class Figures(NamedTuple):
    """Seconds."""

    opened: float
    busy: float
    acts: dict[str, float]


def measure(browser: Browser, path: Path) -> Figures:
    """Opens the page once, and does each thing once."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=300_000)
    opened = int(page.get_attribute("html", "data-ready") or 0) / 1000
    metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
    acts = {name: float(page.evaluate(_TIMED, act)) for name, act in _ACTS.items()}
    page.close()
    return Figures(opened, metrics["TaskDuration"], acts)


def main(words: list[str]) -> None:
    """Prints a line for each size."""
    if CHROMIUM is None:
        sys.exit("chromium is not installed")
    sizes = [_size(word) for word in words] or SIZES
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        pages = {}
        for workloads, edges in sizes:
            pages[workloads, edges] = Path(name) / f"{workloads}.html"
            pages[workloads, edges].write_text("".join(page_pieces(large_graph(workloads, edges))))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        found: dict[tuple[int, int], list[Figures]] = {size: [] for size in pages}
        for _ in range(ROUNDS):
            for size, path in pages.items():
                found[size].append(measure(browser, path))
        browser.close()
        for size, runs in found.items():
            print(line(size, runs, pages[size].stat().st_size))  # noqa: T201 - a benchmark prints its figures


def _size(word: str) -> tuple[int, int]:
    workloads, edges = map(int, word.split(","))
    return workloads, edges


def line(size: tuple[int, int], runs: list[Figures], length: int) -> str:
    """Medians."""
    opened = statistics.median(run.opened for run in runs)
    wanted = next((limit for most, limit in WANTED_SECONDS.items() if size[0] <= most), None)
    share = f" ({opened / wanted:.0%} of {wanted:.0f} s)" if wanted else ""
    busy = statistics.median(run.busy for run in runs)
    acts = (f"{name} {statistics.median(run.acts[name] for run in runs):.2f} s" for name in _ACTS)
    head = f"{size[0]:>6,} workloads {size[1]:>7,} edges {length / 1e6:6.1f} MB"
    return f"{head}: open {opened:.2f} s{share}, busy {busy:.2f} s; {', '.join(acts)}"


if __name__ == "__main__":
    main(sys.argv[1:])
