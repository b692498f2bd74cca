"""`netpol view` as people use it: the process, a real browser on its address, and a capture that comes later."""

from __future__ import annotations

import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Request

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "captures" / "shop"
CLUSTER = ROOT / "samples" / "shop" / "cluster.yaml"
Start = Callable[..., str]
ADDRESS = re.compile(r"the graph is at (http://127\.0\.0\.1:\d+/\S+/) until Ctrl-C")

pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the process, and returns the address that it tells; in the end it leaves when it is interrupted."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str | Path) -> str:
        log = tmp_path / f"{len(started)}.log"
        with log.open("w") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "netpol", "view", *map(str, words)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
            )
        started.append(process)
        for _ in range(10_000):
            found = ADDRESS.search(log.read_text())
            if found:
                return found[1]
            assert process.poll() is None, log.read_text()
            threading.Event().wait(0.01)
        pytest.fail("it never told its address")

    yield run
    for process in started:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=100)
        assert (process.returncode, out) == (0, "")


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab that asks nobody but the server, and keeps its console empty."""
    said: list[str] = []

    def asked(request: Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            said.append(request.url)

    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(100_000)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", asked)
    yield page
    page.close()
    assert said == []


def test_what_comes_later_is_shown_later(start: Start, tab: Page, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    shutil.copy(SHOP / "node-a.pcap", folder)
    tab.goto(start(folder, "--cluster", CLUSTER, "--refresh", "1s"))
    tab.wait_for_selector("html[data-ready]")
    assert "169 connections" in (tab.locator("#summary").text_content() or "")
    tab.click("#tab-list")
    shutil.copy(SHOP / "node-b.pcapng.gz", folder / "later")
    (folder / "later").rename(folder / "node-b.pcapng.gz")
    tab.wait_for_function("() => document.getElementById('summary').textContent.includes('217 connections')")
    assert tab.locator("#status").text_content() == "The graph was brought up to date"
    assert tab.locator("#tab-list").get_attribute("aria-selected") == "true"


def test_the_panels_of_dns_and_bytes(start: Start, tab: Page) -> None:
    tab.goto(start(SHOP, "--cluster", CLUSTER))
    tab.wait_for_selector("html[data-ready]")
    tab.click("#tab-dns")
    row = tab.locator("#dns-pane tr", has_text="shop/api[Deployment]")
    assert [cell.strip() for cell in row.locator("td.count").all_text_contents()] == ["16", "4", "0", "12", "0"]
    row.locator("summary").click()
    assert "recommendations.shop.svc.cluster.local" in (row.text_content() or "")
    tab.click("#tab-traffic")
    assert tab.locator("#traffic-pane .volume rect").count() == 13  # of fourteen seconds one is silent
    heading = tab.locator("#traffic-pane tbody tr").first.locator("th").text_content()
    assert heading == "shop/api[Deployment]"
    assert [each for each in Axe().run(tab).response["violations"] if each["impact"] in {"serious", "critical"}] == []
    tab.set_viewport_size({"width": 390, "height": 800})
    for name in ("dns", "traffic", "graph"):
        tab.click(f"#tab-{name}")
        assert tab.locator(f"#{name}-pane").is_visible()
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_nobody_else_gets_anything(start: Start) -> None:
    address = urlsplit(start(SHOP, "--cluster", CLUSTER))

    def ask(path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=100)
        connection.request("GET", path, headers={"Host": f"{host}:{address.port}"})
        answer = connection.getresponse()
        result = answer.status, answer.read()
        connection.close()
        return result

    assert ask(address.path)[0] == 200
    for path, host in (("/", "127.0.0.1"), ("/guess/graph.json", "127.0.0.1"), (address.path, "evil.example")):
        status, content = ask(path, host)
        assert status in {404, 421}
        assert b"postgres" not in content


def test_a_port_that_is_taken_and_a_capture_that_is_none(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "netpol", "view", *words, "--cluster", str(CLUSTER)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        return done.returncode, done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = run(str(SHOP), "--port", str(taken.getsockname()[1]))
        assert code == 2
        assert "cannot listen" in said
    code, said = run(str(tmp_path / "nothing.pcap"))
    assert (code, "nothing.pcap" in said, "Traceback" in said) == (2, True, False)
    code, said = run(str(SHOP), "--refresh", "soon")
    assert (code, "--refresh" in said) == (2, True)
