"""`netpol learn --threat-list`, as a user runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.named_traffic import API_AND_RESOLVER, NamedTraffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

PODS = (
    """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: web, ports: [{containerPort: 8080}]}]}
status: {podIP: 10.0.0.1, phase: Running}
"""
    + API_AND_RESOLVER
)
WEB, API = "10.0.0.1", "10.0.0.2"
EVIL, GOOD = "198.51.100.66", "203.0.113.10"


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    path = tmp_path / "pods.yaml"
    path.write_text(PODS)
    return path


def a_list(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "list.txt"
    path.write_text(text)
    return path


def threats(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())["threats"]
    return found


def everything(folder: Path) -> str:
    """All that is written but the reports about it."""
    reports = {"summary.json", "REVIEW.md", "graph.html"}
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file() and path.name not in reports)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# made up\napi.partner.example\n", 2),
        ("203.0.114.0/24\n\n198.51.100.16/28\n", 3),
        ("0.0.0.0 api.partner.example\n", 1),
        ("first_seen,dst_ip\n2026-01-01,198.51.100.20\n", 2),
        (".partner.example\n", 1),
    ],
)
def test_the_shops_partner_on_a_list(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, text: str, line: int
) -> None:
    path, folder = a_list(tmp_path, text), tmp_path / "out"
    answer = netpol("learn", shop, "--cluster", sample / "cluster.yaml", "--threat-list", path, "-d", folder)
    assert answer.code == 1
    first, second = answer.err.splitlines()[:2]
    assert first.startswith("On a threat list")
    assert "shop/report[CronJob] to " in second
    assert f"line {line} of {path}" in second
    assert "198.51.100.20" not in everything(folder)
    assert "partner.example" not in everything(folder)
    # The report's other need is learned as ever.
    assert "port: 5432" in (folder / "shop" / "report.yaml").read_text()
    (match,) = [item for item in threats(folder)["matches"] if item["address"] == "198.51.100.20"]
    assert (match["line"], match["connections"], match["port"]) == (line, 2, "TCP/8443")


@pytest.mark.parametrize("dialect", ["kubernetes", "cilium", "calico-enterprise"])
def test_no_dialect_allows_it(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, dialect: str) -> None:
    path = a_list(tmp_path, "api.partner.example\n")
    options = ("--threat-list", path, "--dialect", dialect)
    answer = netpol("learn", shop, "--cluster", sample / "cluster.yaml", *options)
    assert answer.code == 1
    assert "198.51.100.20" not in answer.out
    assert "partner" not in answer.out


def test_accepted_threats_are_told_and_not_allowed(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    path = a_list(tmp_path, "198.51.100.20\n")
    answer = netpol("learn", shop, "--cluster", sample / "cluster.yaml", "--threat-list", path, "--accept-threats")
    assert answer.code == 0
    assert answer.err.startswith("On a threat list")
    assert "198.51.100.20" not in answer.out


def test_a_list_that_names_nobody_changes_nothing(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    path = a_list(tmp_path, "192.0.2.200\nnobody.example\n")
    plain = netpol("learn", shop, "--cluster", sample / "cluster.yaml")
    listed = netpol("learn", shop, "--cluster", sample / "cluster.yaml", "--threat-list", path)
    assert (listed.code, listed.out) == (0, plain.out)
    told, rest = listed.err.split("\n", 1)
    assert told.startswith("threat list     ")
    assert rest == plain.err


def test_a_name_taints_the_address_for_all_who_named_no_other(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.dns(WEB, "evil.example", [EVIL])
    traffic.http(WEB, EVIL, "evil.example")
    traffic.tcp(API, EVIL, 80)  # by its address alone
    traffic.dns(API, "good.example", [GOOD])
    traffic.http(API, GOOD, "good.example")
    capture = traffic.write(tmp_path / "evil.pcap")
    folder = tmp_path / "out"
    answer = netpol(
        "learn", capture, "--cluster", pods, "--threat-list", a_list(tmp_path, "evil.example"), "-d", folder
    )
    assert answer.code == 1
    found = {(item["who"], item["by"]) for item in threats(folder)["matches"]}
    assert found == {("shop/web[Pod]", "name"), ("shop/api[Pod]", "same-address")}
    assert EVIL not in everything(folder)
    assert GOOD in (folder / "shop" / "api.yaml").read_text()


def test_others_on_a_shared_address_keep_it_by_their_own_name(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.dns(WEB, "evil.example", [EVIL])
    traffic.http(WEB, EVIL, "evil.example")
    traffic.tcp(WEB, GOOD, 443)
    traffic.dns(API, "good.example", [EVIL])
    traffic.http(API, EVIL, "good.example")
    capture = traffic.write(tmp_path / "shared.pcap")
    folder = tmp_path / "out"
    assert netpol(
        "learn", capture, "--cluster", pods, "--threat-list", a_list(tmp_path, "evil.example"), "-d", folder
    ).code == 1  # fmt: skip
    assert EVIL in (folder / "shop" / "api.yaml").read_text()
    assert EVIL not in (folder / "shop" / "web.yaml").read_text()
    assert [(item["source"], item["destination"], item["port"]) for item in threats(folder)["still_open"]] == [
        ("shop/api[Pod]", EVIL, "TCP/80")
    ]
    # The list of blocks is for all workloads together: so `egress` says it too, before all else.
    answer = netpol("egress", capture, "--cluster", pods, "--threat-list", tmp_path / "list.txt", "-o", "cidrs")
    assert EVIL in answer.out
    assert answer.err.splitlines()[0].startswith("On a threat list, 1 in all")
    assert "Left open all the same, 1 in all:\n  shop/api[Pod] to 198.51.100.66 on TCP/80: " in answer.err
    assert "good.example; evil.example, which line 1 of " in answer.err


@pytest.mark.parametrize("command", ["learn", "egress"])
def test_where_a_name_leads_nobody_goes_without_another_name(
    netpol: Netpol, pods: Path, tmp_path: Path, command: str
) -> None:
    # The one asked, and another connected: pods hand addresses to each other.
    traffic = NamedTraffic()
    traffic.dns(WEB, "evil.example", [EVIL])
    traffic.tcp(API, EVIL, 443)
    traffic.tcp(API, GOOD, 443)
    capture = traffic.write(tmp_path / "told.pcap")
    options = ("-o", "networkpolicy") if command == "egress" else ()
    path = a_list(tmp_path, "evil.example\n")
    answer = netpol(command, capture, "--cluster", pods, "--threat-list", path, *options)
    assert answer.code == 1
    assert EVIL not in answer.out
    assert GOOD in answer.out
    assert f"shop/api[Pod] to evil.example ({EVIL}), TCP/443, 1 connection" in answer.err


def test_no_name_closes_the_platform_for_others(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    cache = "169.254.20.10"  # node-local DNS: whoever runs a listed zone could close it for everybody
    traffic = NamedTraffic()
    traffic.dns(WEB, "evil.example", [cache])
    traffic.udp(API, cache, 53)
    capture = traffic.write(tmp_path / "cache.pcap")
    answer = netpol("learn", capture, "--cluster", pods, "--threat-list", a_list(tmp_path, "evil.example\n"))
    assert cache in answer.out


@pytest.mark.parametrize("dialect", ["kubernetes", "cilium"])
def test_names_that_go_by_address_are_told(netpol: Netpol, pods: Path, tmp_path: Path, dialect: str) -> None:
    traffic = NamedTraffic()
    traffic.dns(WEB, "both.example", [GOOD, EVIL])
    traffic.http(WEB, GOOD, "both.example")
    capture = traffic.write(tmp_path / "both.pcap")
    folder = tmp_path / "out"
    options = ("--threat-list", a_list(tmp_path, EVIL), "--dialect", dialect, "-d", folder)
    answer = netpol("learn", capture, "--cluster", pods, *options)
    told = f"both.example also leads to {EVIL}, which line 1 of {tmp_path / 'list.txt'} names"
    assert f"  shop/web[Pod]: {told}: it is allowed by its other addresses only." in answer.err
    (item,) = threats(folder)["by_address"]
    assert (item["workload"], item["name"]) == ("shop/web[Pod]", "both.example")
    assert told in item["text"]


def test_a_name_that_was_only_asked_for_is_told(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.dns(WEB, "evil.example", ["192.0.2.66"])
    traffic.dns(WEB, "sunk.example", [])
    traffic.tcp(WEB, GOOD, 443)
    capture = traffic.write(tmp_path / "asked.pcap")
    path = a_list(tmp_path, "evil.example\nsunk.example\n")
    answer = netpol("learn", capture, "--cluster", pods, "--threat-list", path, "-d", tmp_path / "out")
    assert answer.code == 1
    names = threats(tmp_path / "out")["names"]
    assert [(item["who"], item["name"], item["way"], item["line"]) for item in names] == [
        ("shop/web[Pod]", "evil.example", "DNS", 1),
        ("shop/web[Pod]", "sunk.example", "DNS", 2),
    ]
    assert "asked DNS for sunk.example" in answer.err
    assert GOOD in (tmp_path / "out" / "shop" / "web.yaml").read_text()


def test_who_connects_from_a_listed_address_is_not_let_in(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.tcp(EVIL, WEB, 8080)
    traffic.tcp(GOOD, WEB, 8080)
    capture = traffic.write(tmp_path / "ingress.pcap")
    folder = tmp_path / "out"
    answer = netpol("learn", capture, "--cluster", pods, "--threat-list", a_list(tmp_path, EVIL), "-d", folder)
    assert answer.code == 1
    assert EVIL not in everything(folder)
    assert GOOD in (folder / "shop" / "web.yaml").read_text()
    assert threats(folder)["matches"][0]["direction"] == "ingress"


def test_failed_attempts_are_told_too(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.tcp(WEB, EVIL, 443, answer="refuse")
    traffic.tcp(WEB, GOOD, 443)
    capture = traffic.write(tmp_path / "refused.pcap")
    answer = netpol("learn", capture, "--cluster", pods, "--threat-list", a_list(tmp_path, EVIL))
    assert answer.code == 1
    assert "quarantined     1 (threat-list 1)" in answer.err


def test_what_no_policy_closes_is_said(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    # The pod was seen in nothing else: no policy is written for it, and it stays open.
    traffic = NamedTraffic()
    traffic.tcp(WEB, EVIL, 443)
    capture = traffic.write(tmp_path / "alone.pcap")
    answer = netpol("learn", capture, "--cluster", pods, "--threat-list", a_list(tmp_path, EVIL))
    assert answer.code == 1
    assert "Left open all the same, 1 in all" in answer.err
    # Threats come first, even where there is nothing else to tell.
    assert answer.err.startswith("On a threat list, 1 in all")
    assert "no policy was written" in answer.err


def test_earlier_policies_lose_what_is_listed_now(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    before, after = NamedTraffic(), NamedTraffic()
    for address in (EVIL, GOOD):
        before.tcp(WEB, address, 443)
    after.tcp(WEB, API, 80)
    folder = tmp_path / "out"
    assert netpol("learn", before.write(tmp_path / "1.pcap"), "--cluster", pods, "-d", folder).code == 0
    assert EVIL in (folder / "shop" / "web.yaml").read_text()
    capture, path = after.write(tmp_path / "2.pcap"), a_list(tmp_path, EVIL)
    options = ("--existing", folder, "-d", folder, "--threat-list", path)
    assert netpol("learn", capture, "--cluster", pods, *options).code == 0
    kept = (folder / "shop" / "web.yaml").read_text()
    assert EVIL not in kept
    assert GOOD in kept


def test_the_platform_is_no_threat_to_lists_of_what_nobody_routes(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.udp(WEB, "169.254.20.10", 53)
    capture = traffic.write(tmp_path / "dns.pcap")
    path = a_list(tmp_path, "10.0.0.0/8\n169.254.0.0/16\n")
    answer = netpol("learn", capture, "--cluster", pods, "--threat-list", path)
    assert answer.code == 0
    assert "169.254.20.10/32" in answer.out


@pytest.mark.parametrize("text", ["", "what is this", "a,b\n1,2\n", "{}", "{"])
def test_what_is_no_list_is_refused(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, text: str) -> None:
    path = a_list(tmp_path, text)
    answer = netpol("learn", shop, "--cluster", sample / "cluster.yaml", "--threat-list", path)
    assert (answer.code, answer.out) == (2, "")
    assert str(path) in answer.err
    assert "Traceback" not in answer.err


def test_hostile_lists_reach_no_terminal_raw(netpol: Netpol, pods: Path, tmp_path: Path) -> None:
    traffic = NamedTraffic()
    traffic.tcp(WEB, EVIL, 443)
    capture = traffic.write(tmp_path / "evil.pcap")
    path = a_list(tmp_path, f"# Version: 1\x1b[31m\u202e\n{EVIL}\n\x1b]0;title\x07\n")
    answer = netpol("learn", capture, "--cluster", pods, "--threat-list", path)
    assert answer.code == 1
    assert not {"\x1b", "\x07", "\u202e"} & set(answer.err)


def test_windows_tell_of_listed_names_as_captures_do(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    listed = a_list(tmp_path, "api.partner.example\npostgres.data.svc.cluster.local\n")
    captures = (shop / "node-a.pcap", shop / "node-b.pcapng.gz")
    assert netpol("dataset", "merge", tmp_path / "records", *captures).code == 0
    found = []
    for name, paths in (("captured", captures), ("recorded", (tmp_path / "records",))):
        out = tmp_path / name
        answer = netpol("learn", *paths, "--cluster", sample / "cluster.yaml", "--threat-list", listed, "-d", out)
        assert answer.code == 1
        found.append(threats(out))
    assert found[0]["matches"]
    assert found[1]["matches"] == found[0]["matches"]
    # When an answer came last is not in a window that joined it with the first.
    heard = [[(each["who"], each["name"], each["way"], each["first_seen"]) for each in one["names"]] for one in found]
    assert heard[1] == heard[0]
