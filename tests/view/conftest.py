"""A browser for the tests of the page; they skip where there is none, or no page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from netpol.errors import UsageError
from netpol.view import page as shell
from tests.view.browser import CHROMIUM, FLAGS, Viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def built() -> None:
    """Skips where the page could not be built when netpol was installed."""
    _require_page()


def _require_page() -> None:
    try:
        shell.require()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, with a profile of its own that is deleted in the end."""
    _require_page()
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture(scope="module")
def browser_tab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Viewer]]:
    """The same as `viewer`, for tabs that a whole module shares."""
    yield from _tabs(browser, tmp_path_factory.mktemp("page"))


@pytest.fixture
def viewer(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Viewer]]:
    """Opens a tab; keywords are those of `Browser.new_context`. Nothing may be on the console in the end."""
    yield from _tabs(browser, tmp_path)


def _tabs(browser: Browser, folder: Path) -> Iterator[Callable[..., Viewer]]:
    opened: list[Viewer] = []

    def tab(**options: object) -> Viewer:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(100_000)
        opened.append(Viewer.of(context, folder))
        return opened[-1]

    yield tab
    said = [line for one in opened for line in one.said]
    for one in opened:
        one.page.context.close()
    assert said == []
