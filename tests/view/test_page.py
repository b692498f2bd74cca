"""The page as text: what stands in it cannot end the element that it stands in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from netpol.errors import UsageError
from netpol.view import page as shell
from netpol.view.as_json import json_pieces
from netpol.view.page import MARK, page_pieces
from tests.view.drawn import HOSTILE, hostile

pytestmark = pytest.mark.usefixtures("built")


class Elements(HTMLParser):
    """The text of each script and style, by id, as a reader of HTML sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self._at = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._at = dict(attrs).get("id") or tag
            assert self._at not in self.texts
            self.texts[self._at] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._at = ""

    def handle_data(self, data: str) -> None:
        if self._at:
            self.texts[self._at] += data


def page_of(text: str) -> str:
    return "".join(page_pieces(hostile(text)))


@pytest.mark.parametrize("text", [*HOSTILE, "</script><script>alert(1)</script>", "<!--<script>"], ids=lambda _: "")
def test_no_text_ends_its_element_and_all_of_it_comes_back(text: str) -> None:
    page = page_of(text)
    data = Elements(page).texts["netpol-data"]
    assert json.loads(data) == json.loads("".join(json_pieces(hostile(text))))
    assert not re.search("[<>&]", data)
    assert data.isascii()
    assert page.partition(data)[0] + page.partition(data)[2] == page_of("").replace(
        Elements(page_of("")).texts["netpol-data"], ""
    )


def test_the_policy_names_script_and_style_by_hash_and_allows_nothing_else() -> None:
    elements = Elements(page_of("x"))
    (policy,) = (
        attributes["content"] or ""
        for tag, attributes in elements.attributes
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    found = {name: sources for name, *sources in (part.split() for part in policy.split(";"))}

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    style = elements.texts["__________cytoscape_stylesheet"]
    assert found == {
        "default-src": ["'none'"],
        "script-src": [digest(elements.texts["script"])],
        "style-src": [digest(style)],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
        "connect-src": ["'none'"],
    }


def test_a_served_page_may_ask_its_own_server_and_differs_in_nothing_else() -> None:
    graph = hostile("x")
    live = "".join(page_pieces(graph, live=True))
    assert live != "".join(page_pieces(graph))
    assert live.replace("connect-src 'self'", "connect-src 'none'", 1) == "".join(page_pieces(graph))


def test_the_page_asks_nobody_for_anything() -> None:
    for tag, attributes in Elements(page_of("x")).attributes:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base"}
        assert not attributes.keys() & {"src", "srcset", "action", "style"}
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_it_begins_with_its_mark_and_is_the_same_each_time() -> None:
    assert page_of("x").startswith(MARK)
    assert page_of("x") == page_of("x")


def test_it_carries_the_licences_of_what_it_is_made_with() -> None:
    licences = Elements(page_of("x")).texts["licences"]
    for name in ("cytoscape", "cytoscape-fcose", "cose-base", "layout-base"):
        assert re.search(rf"^{name} \d+\.\d+\.\d+ \(MIT\)$", licences, re.MULTILINE)
    assert licences.count("Permission is hereby granted") == 4


def test_an_installation_without_the_page_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shell._shell.cache_clear()
    monkeypatch.setattr(shell, "_file", lambda: tmp_path_factory.mktemp("empty") / "page.html")
    with pytest.raises(UsageError, match=r"no HTML viewer.*Install it again"):
        shell.require()
    with pytest.raises(UsageError, match="no HTML viewer"):
        list(page_pieces(hostile("x")))
