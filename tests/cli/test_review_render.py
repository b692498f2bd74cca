"""The report in Markdown as an independent parser reads it, and hostile text in every format of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from netpol.cli.lint_render import Report as Findings
from netpol.cli.lint_render import render
from netpol.cli.review_json import json_pieces
from netpol.cli.review_markdown import markdown
from netpol.cli.review_words import change_cells, verdict_line
from netpol.model.text import plain
from netpol.review.findings import Severity
from netpol.review.report_drawing import drawing
from netpol.review.report_findings import ALL_CHECKS, findings_of
from tests.review.reports import report_with
from tests.view.drawn import HOSTILE, is_tame

if TYPE_CHECKING:
    from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
"""GitHub's tables are an extension; raw HTML is let through, as it is by GitHub, so that it shows."""

ALLOWED_HTML = re.compile(r"<details>\n<summary>How the YAML differs: [0-9,]+ lines?</summary>\n|</details>\n")


def parse(text: str) -> list[Token]:
    return PARSER.parse(text)


def inline_text(token: Token) -> str:
    """What a reader sees of a line: text, with line breaks as such."""
    return "".join(
        "\n" if child.type in {"softbreak", "hardbreak"} else child.content for child in token.children or []
    )


def cells(tokens: list[Token]) -> list[str]:
    return [
        inline_text(tokens[position + 1]).strip() for position, token in enumerate(tokens) if token.type == "td_open"
    ]


def text_of(text: str) -> str:
    return "".join(markdown(report_with(text)))


def findings(text: str) -> Findings:
    return Findings(
        findings=findings_of(report_with(text), ()), lines={}, policies=(), gate=Severity.WARNING, checks=ALL_CHECKS,
        title="netpol review",
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_name_becomes_markup(text: str) -> None:
    tokens = parse(text_of(text))
    for token in tokens:
        if token.type == "html_block":
            assert ALLOWED_HTML.fullmatch(token.content)
        for child in token.children or []:
            assert child.type in {
                "text",
                "text_special",
                "strong_open",
                "strong_close",
                "em_open",
                "em_close",
                "softbreak",
            }
    headings = [inline_text(tokens[at + 1]) for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings == [
        "Review of network policies, by netpol",
        "What changes",
        "What was left out, and why",
        "What to check by hand",
        "The policies",
    ]


@given(st.text(min_size=1, max_size=60))
def test_every_cell_holds_what_was_put_into_it(text: str) -> None:
    report = report_with(text)
    found = cells(parse("".join(markdown(report))))
    expected = [re.sub(r" +$|^ +", "", plain(cell)) for row in report.changes for cell in change_cells(row)]
    assert found[: len(expected)] == expected


@given(st.text(max_size=80))
def test_the_yaml_ends_no_fence(text: str) -> None:
    report = report_with(text)
    fences = [token for token in parse("".join(markdown(report))) if token.type == "fence"]
    (yaml,) = [token for token in fences if token.info == "diff"]
    assert yaml.content == plain(report.yaml, keep_lines=True)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_drives_a_terminal_or_a_runner(text: str) -> None:
    assert is_tame(text_of(text))
    for name in ("sarif", "junit"):
        assert is_tame("".join(render(name, findings(text))))
    for line in "".join(render("github", findings(text))).splitlines():
        assert re.match(r"::(error|warning|notice) title=[^:]*::[^\n\r]*$", line)
        assert plain(line) == line


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_machines_read_their_formats(text: str) -> None:
    report = json.loads("".join(json_pieces(report_with(text), findings(text))))
    assert report["changes"][1]["destination"] == text
    assert report["changes"][1]["seen"]["connections"] == 3
    (run,) = json.loads("".join(render("sarif", findings(text))))["runs"]
    known = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(known[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert {"opens", "denies-what-worked"} <= {result["ruleId"] for result in run["results"]}
    suites = ET.fromstring("".join(render("junit", findings(text))))  # noqa: S314 - what was written a line above
    assert suites.get("name") == "netpol review"
    assert int(suites.get("failures", "0")) >= 1


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_drawing_holds_no_text_that_mermaid_or_markdown_reads(text: str) -> None:
    drawn = drawing(report_with(text).changes, evidence=True)
    labels = re.findall(r'"([^"]*)"', drawn)
    assert labels
    for label in labels:
        assert re.fullmatch(r"(?:[\w ./,:-]|#[0-9]+;)*", label)
    assert "`" not in drawn


def test_the_verdict_is_one_line_with_the_five_figures() -> None:
    assert verdict_line(report_with("x")) == (
        "1970-01-01T00:00:00Z to 1970-01-01T00:01:30Z (1 min 30 s): 10 connections, 90.0 % explained; "
        "2 that worked would be denied, 1 of them learned; "
        "of 5 allowed pod-pair-ports (8 before) 1 were never seen used."
    )
