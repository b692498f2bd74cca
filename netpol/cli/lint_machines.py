"""Findings for machines that have a format of their own: SARIF 2.1.0 (OASIS) and JUnit XML."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET  # only writes: nothing from outside is parsed

from netpol.cli.text import plain
from netpol.cli.version import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netpol.cli.lint_render import Report
    from netpol.review.findings import Check, Finding

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}


def sarif(report: Report) -> Iterator[str]:
    """One run. A finding without a known line points at the file alone, one without a file at the policy."""
    from netpol.review.review import CHECKS

    checks = report.checks or CHECKS
    positions = {check.id: number for number, check in enumerate(checks)}
    version = installed_version()
    known = {"version": version} if version else {}
    driver = {"name": "netpol", **known, "rules": [_rule(check) for check in checks]}
    results = [_result(finding, line, positions[finding.check.id]) for finding, line in report.placed()]
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }
    yield json.dumps(log, indent=2, ensure_ascii=True) + "\n"


def _rule(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "shortDescription": {"text": _message(check.title)},
        "fullDescription": {"text": _message(check.meaning)},
        "help": {"text": _message(f"{check.remedy}.")},
        "defaultConfiguration": {"level": _LEVELS[check.severity.label]},
    }


def _result(finding: Finding, line: int | None, position: int) -> dict[str, Any]:
    identity = f"{finding.check.id} {finding.policy} {finding.path} {finding.message}"
    return {
        "ruleId": finding.check.id,
        "ruleIndex": position,
        "level": _LEVELS[finding.severity.label],
        "message": {"text": _message(f"{finding.policy}: {finding.path}: {finding.message}. {finding.remedy}.")},
        "locations": [_location(finding, line)],
        "partialFingerprints": {"netpolFinding/v1": sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()},
    }


def _location(finding: Finding, line: int | None) -> dict[str, Any]:
    name = plain(f"{finding.policy}/{finding.path}")
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": name, "kind": "member"}]}
    if line is not None:
        artifact = {"uri": _uri(finding.file)}
        location["physicalLocation"] = {"artifactLocation": artifact, "region": {"startLine": line}}
    return location


def _uri(file: str) -> str:
    """A relative reference for a relative path, a file URI for an absolute one (RFC 3986, RFC 8089)."""
    path = PurePath(file)
    text = quote(path.as_posix(), errors="surrogateescape")
    if path.is_absolute():
        return f"file://{text}"
    # The first segment of a relative reference must not look like a scheme; quote() encodes colons already.
    return text


def _message(text: str) -> str:
    """Plain text as a SARIF message: braces are doubled (3.11.5), and what would be a link is none (3.11.6)."""
    return plain(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")


def junit(report: Report) -> Iterator[str]:
    """A suite a file. Each finding is a case; a policy without any is a case that passes.

    What is at least as severe as the gate (`--fail-on`, otherwise warnings) fails; the rest says what it has to say as
    output of a case that passes.
    """
    suites = ET.Element("testsuites", name=report.title)
    by_file: dict[str, list[ET.Element]] = {}
    clean = {policy for policy, _ in report.policies} - {finding.policy for finding in report.findings}
    for policy, place in report.policies:
        cases = by_file.setdefault(place[0] if place else "", [])
        if policy in clean:
            cases.append(ET.Element("testcase", classname=plain(policy), name="no findings"))
    for finding, line in report.placed():
        by_file.setdefault(finding.file, []).append(_case(finding, line, fails=finding.severity >= report.gate))
    total = 0
    for file, cases in by_file.items():
        failures = sum(case.find("failure") is not None for case in cases)
        counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "skipped": "0"}
        suite = ET.SubElement(suites, "testsuite", {"name": plain(file) or "policies", **counts})
        suite.extend(cases)
        total += failures
    suites.set("tests", str(sum(map(len, by_file.values()))))
    suites.set("failures", str(total))
    ET.indent(suites)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield ET.tostring(suites, encoding="unicode") + "\n"


def _case(finding: Finding, line: int | None, *, fails: bool) -> ET.Element:
    from netpol.cli.lint_render import place_text

    name = plain(f"{finding.check.id} {finding.path}")
    case = ET.Element("testcase", classname=plain(finding.policy), name=name)
    if line is not None:
        case.set("file", plain(finding.file))
        case.set("line", str(line))
    place = place_text(finding.place, line)
    text = plain(f"{place}: {finding.severity.label}: {finding.message}. {finding.remedy}.")
    if fails:
        ET.SubElement(case, "failure", type=finding.check.id, message=plain(finding.message)).text = text
    else:
        ET.SubElement(case, "system-out").text = text
    return case
