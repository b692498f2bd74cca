"""`netpol egress`, as a user runs it: on the sample shop, and on captures made packet by packet."""

from __future__ import annotations

import json
import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cli.egress import REPORTS, Format
from netpol.dialects.allowlists.formats import FORMATS
from tests.cli.named_traffic import API_AND_RESOLVER, RESOLVER, NamedTraffic

if TYPE_CHECKING:
    from tests.cli.conftest import Netpol

ROOT = Path(__file__).parents[2]
PODS = (
    """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: web}]}
status: {podIP: 10.0.0.1, phase: Running}
"""
    + API_AND_RESOLVER
)
WEB, API = "10.0.0.1", "10.0.0.2"
PARTNER = "198.51.100.20"


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    path = tmp_path / "pods.yaml"
    path.write_text(PODS)
    return path


def rows(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_the_shop_needs_its_partner_by_name(netpol: Netpol, shop: Path, sample: Path) -> None:
    answer = netpol("egress", shop, "--cluster", sample / "cluster.yaml", "-o", "json")
    assert answer.code == 0
    # The driver of the capture ran the report twice (truth.json); bytes and times are those of `netpol flows`.
    assert rows(answer.out) == [
        {
            "workload": "shop/report[CronJob]",
            "name": "api.partner.example",
            "protocol": "TCP",
            "port": 8443,
            "grade": "strong",
            "connections": 2,
            "bytes": 13150,
            "first_seen": "2026-11-22T03:08:11.984792Z",
            "last_seen": "2026-11-22T03:08:12.021509Z",
            "addresses": ["198.51.100.20"],
            "sharing": [],
            "wildcard": None,
            "remarks": [],
        }
    ]


def test_all_that_the_driver_says_of_the_outside_is_there(netpol: Netpol, shop: Path, sample: Path) -> None:
    truth = json.loads((sample / "truth.json").read_text())["connections"]
    outside = [row for row in truth if row["destination"][0].isdigit() and row["source"].endswith("]")]
    found = rows(netpol("egress", shop, "--cluster", sample / "cluster.yaml", "-o", "json").out)
    assert {(row["workload"], row["addresses"][0], row["port"], row["connections"]) for row in found} == {
        (row["source"], row["destination"], row["port"], row["connections"])
        for row in outside
        if row["outcome"] == "established"
    }
    table = netpol("egress", shop, "--cluster", sample / "cluster.yaml").out
    tried = table[table.index("Tried outside, and not learned:") :]
    for row in outside:
        if row["outcome"] != "established":
            assert row["destination"] in tried
            assert f"{row['protocol']}/{row['port']}" in tried


def test_the_platform_is_apart(netpol: Netpol, shop: Path, sample: Path) -> None:
    table = netpol("egress", shop, "--cluster", sample / "cluster.yaml").out
    assert "monitoring/prometheus[StatefulSet]   node (node-a)   TCP/9100   2 " in table


def test_every_format_of_allowlists_can_be_asked_for() -> None:
    assert {item.value for item in set(Format) - REPORTS} == set(FORMATS)


@pytest.mark.parametrize("output", sorted(set(Format) - REPORTS))
def test_every_allowlist_names_the_partner_or_its_address(
    netpol: Netpol, shop: Path, sample: Path, output: Format
) -> None:
    answer = netpol("egress", shop, "--cluster", sample / "cluster.yaml", "-o", output.value)
    assert answer.code == 0
    # Two jobs had the report's address one after the other, so no list of source addresses may name it.
    named = "api.partner.example" in answer.out or "198.51.100.20" in answer.out
    assert named or "shop/report[CronJob] is left out" in answer.err
    assert "192.0.2.11" not in answer.out  # a node
    assert "198.51.100.99" not in answer.out  # nobody answered


def test_order_of_captures_does_not_change_a_byte(netpol: Netpol, shop: Path, sample: Path) -> None:
    a, b = shop / "node-a.pcap", shop / "node-b.pcapng.gz"
    assert netpol("egress", a, b, "--cluster", sample / "cluster.yaml") == netpol(
        "egress", b, a, "--cluster", sample / "cluster.yaml"
    )


def test_the_account_is_short_and_says_what_was_read(netpol: Netpol, shop: Path, sample: Path) -> None:
    lines = netpol("egress", shop, "--cluster", sample / "cluster.yaml").err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "packets", "workloads", "needs", "platform", "not learned", "names",
    ]  # fmt: skip
    assert lines[2].endswith("1: strong 1, medium 0, ambiguous 0; by address only 0")


def test_names_by_grade(netpol: Netpol, tmp_path: Path, pods: Path) -> None:
    traffic = NamedTraffic()
    traffic.dns(WEB, "strong.example", ["198.51.100.1"])
    traffic.http(WEB, "198.51.100.1", "strong.example")
    traffic.dns(WEB, "medium.example", ["198.51.100.2"])
    traffic.tcp(WEB, "198.51.100.2", 5432)
    for name in ("one.example", "other.example"):
        traffic.dns(WEB, name, ["198.51.100.3"])
    traffic.tcp(WEB, "198.51.100.3", 5432)
    traffic.tcp(WEB, "198.51.100.4", 5432)
    answer = netpol("egress", traffic.write(tmp_path / "x.pcap"), "--cluster", pods, "-o", "json")
    assert [(row["name"], row["grade"], row["sharing"]) for row in rows(answer.out)] == [
        ("medium.example", "medium", []),
        ("one.example", "ambiguous", ["other.example"]),
        ("other.example", "ambiguous", ["one.example"]),
        ("strong.example", "strong", []),
        (None, "none", []),
    ]


def test_selections(netpol: Netpol, tmp_path: Path, pods: Path) -> None:
    traffic = NamedTraffic()
    for client in (WEB, API, RESOLVER):
        traffic.tcp(client, PARTNER, 443)
    capture = traffic.write(tmp_path / "x.pcap")

    def whose(*words: str) -> list[str]:
        answer = netpol("egress", capture, "--cluster", pods, "-o", "json", *words)
        assert answer.code == 0, answer.err
        return [row["workload"] for row in rows(answer.out)]

    both, dns = ["shop/api[Pod]", "shop/web[Pod]"], "kube-system/dns[Pod]"
    assert whose() == whose("-A") == whose("-n", "shop") == both
    assert whose("--system") == [dns, *both]
    assert whose("-n", "kube-system") == [dns]
    assert whose("-l", "app in (web,dns)") == ["shop/web[Pod]"]
    assert whose("-l", "app=dns", "--system") == [dns]
    assert "1 of system namespaces left out" in netpol("egress", capture, "--cluster", pods).err
    assert "no namespace shpo" in netpol("egress", capture, "--cluster", pods, "-n", "shpo").err
    assert "no pod has labels" in netpol("egress", capture, "--cluster", pods, "-l", "app=wbe").err


def test_wildcards_where_they_are_asked_for(netpol: Netpol, tmp_path: Path, pods: Path) -> None:
    traffic = NamedTraffic()
    for index in range(5):
        for name in (f"n{index}.cdn.example.com", f"mine{index}.s3.amazonaws.com"):
            traffic.dns(WEB, name, [f"198.51.100.{index}"])
            traffic.http(WEB, f"198.51.100.{index}", name)
    capture = traffic.write(tmp_path / "x.pcap")

    def patterns(*words: str) -> set[str | None]:
        answer = netpol("egress", capture, "--cluster", pods, "-o", "json", *words)
        return {row["wildcard"] for row in rows(answer.out)}

    assert patterns() == {None}
    assert patterns("--wildcards") == {None, "*.cdn.example.com"}
    assert patterns("--wildcards", "--wildcard-names", "6") == {None}
    assert patterns("--wildcards", "--wildcard-depth", "any") == {None, "**.cdn.example.com"}
    table = netpol("egress", capture, "--cluster", pods, "--wildcards").out
    assert "*.cdn.example.com" in table
    assert "   n0.cdn.example.com   TCP" not in table
    assert "open-ended: 5 names of this kind were seen" in table
    assert table.count("s3.amazonaws.com ") >= 5


HOSTILE = [
    b"\x1b]0;owned\x07.example",
    b"<script>alert(1)</script>",
    b"=HYPERLINK(1)",
    b"a b.example",
    b"caf\xc3\xa9.example",
    "\u202eelpmaxe.live".encode(),
    b"-rf.example",
    b"x" * 64 + b".example",
    b"under_score.example",
    b"../../etc/passwd",
]


@pytest.mark.parametrize("output", [*sorted(REPORTS), Format.DOMAINS, Format.FEED])
def test_a_name_that_is_no_host_name_is_counted_shown_escaped_and_never_printed(
    netpol: Netpol, tmp_path: Path, pods: Path, output: Format
) -> None:
    traffic = NamedTraffic()
    for index, name in enumerate(HOSTILE):
        address = f"198.51.100.{index + 1}"
        if len(name) < 64:  # a longer label has no form in DNS
            traffic.dns(WEB, name, [address])
        traffic.http(WEB, address, name)
    answer = netpol("egress", traffic.write(tmp_path / "x.pcap"), "--cluster", pods, "-o", output.value)
    assert answer.code == 0
    for word in ("owned", "<script", "HYPERLINK", "a b.", "caf", "elpmaxe", "-rf", "xxxx", "under_score", "etc/passwd"):
        assert word not in answer.out
    for stream in (answer.out, answer.err):
        assert all(character.isprintable() or character in "\r\n\t" for character in stream)
    assert "names that are no host names" in answer.err
    assert "'\\x1b]0;owned\\x07.example', '-rf.example', " in answer.err


def test_nothing_outside_is_said(netpol: Netpol, tmp_path: Path, pods: Path) -> None:
    traffic = NamedTraffic()
    traffic.dns(WEB, "x.example", ["198.51.100.1"])
    capture = traffic.write(tmp_path / "x.pcap")
    answer = netpol("egress", capture, "--cluster", pods)
    assert (answer.code, answer.out) == (0, "No workload was seen to need anything outside the cluster.\n")
    assert netpol("egress", capture, "--cluster", pods, "-o", "json").out == "[]\n"


def test_names_that_are_hidden_are_said(netpol: Netpol, tmp_path: Path, pods: Path) -> None:
    traffic = NamedTraffic()
    traffic.tcp(WEB, "9.9.9.9", 853)
    traffic.tcp(WEB, PARTNER, 443)
    answer = netpol("egress", traffic.write(tmp_path / "x.pcap"), "--cluster", pods)
    assert "shop/web[Pod] to 9.9.9.9: DNS over TLS" in answer.err
    assert "DNS was asked over TLS, QUIC or HTTPS, which hides names" in answer.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "yaml"], "yaml"),
        (["--wildcard-names", "3"], "--wildcard-names needs --wildcards"),
        (["--wildcard-depth", "any"], "--wildcard-depth needs --wildcards"),
        (["--wildcards", "--wildcard-names", "1"], "1 is not in the range"),
        (["--max-prefixes", "3"], "--max-prefixes is for allowlists"),
        (["--max-waste", "0.5", "-o", "csv"], "--max-waste is for allowlists"),
        (["--max-prefixes", "0", "-o", "cidrs"], "0 is not in the range"),
        (["--max-waste", "1", "-o", "cidrs"], "no share"),
        (["--max-waste", "nan", "-o", "cidrs"], "no share"),
        (["--max-waste", "-1", "-o", "cidrs"], "no share"),
        (["--max-waste", "0.5", "--max-prefixes", "3", "-o", "cidrs"], "exclude each other"),
        (["--max-waste", "0.5", "-o", "domains"], "--max-waste: domains has no blocks"),
        (["--max-prefixes", "3", "-o", "iptables"], "Bound those of -o ipset"),
        (["-n", "shop", "-A"], "contradict"),
        (["-l", "app in web"], "not a label selector"),
    ],
)
def test_options_that_do_not_fit(netpol: Netpol, shop: Path, sample: Path, words: list[str], said: str) -> None:
    answer = netpol("egress", shop, "--cluster", sample / "cluster.yaml", *words)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_blocks_are_bounded_where_that_is_asked_for(netpol: Netpol, tmp_path: Path, pods: Path) -> None:
    traffic = NamedTraffic()
    for last in (1, 2, 3):
        traffic.tcp(WEB, f"198.51.100.{last}", 443)
    capture = traffic.write(tmp_path / "x.pcap")

    def blocks(*words: str) -> list[str]:
        text = netpol("egress", capture, "--cluster", pods, "-o", "cidrs", *words).out
        return [line.split()[0] for line in text.splitlines() if line and not line.startswith("#")]

    assert blocks() == ["198.51.100.1/32", "198.51.100.2/31"]
    assert blocks("--max-prefixes", "1") == ["198.51.100.0/30"]
    assert blocks("--max-waste", "0.25") == ["198.51.100.0/30"]
    assert blocks("--max-waste", "0.2") == blocks()


@pytest.mark.parametrize(("columns", "last"), [(80, "CONNECTIONS"), (120, "ADDRESSES")])
def test_a_terminal_gets_the_columns_that_fit(shop: Path, sample: Path, columns: int, last: str) -> None:
    controller, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    words = [sys.executable, "-m", "netpol", "egress", str(shop), "--cluster", str(sample / "cluster.yaml")]
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    done = subprocess.run(
        words, stdout=terminal, stderr=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment
    )
    os.close(terminal)
    shown = os.read(controller, 1 << 16).decode().splitlines()
    os.close(controller)
    assert max(map(len, shown)) <= columns
    assert shown[0].split()[-1] == last
    assert "the terminal is too narrow for" in done.stderr


def test_the_readme_shows_what_comes_out(netpol: Netpol, shop: Path, sample: Path) -> None:
    table = netpol("egress", shop, "--cluster", sample / "cluster.yaml").out
    needs, _, _ = table.partition("\n\n")
    assert f"```\n{needs}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_remarks_of_an_allowlist_are_warnings_and_do_not_flood(netpol: Netpol, tmp_path: Path, pods: Path) -> None:
    traffic = NamedTraffic()
    for last in range(1, 21):
        traffic.tcp(WEB, f"198.51.100.{last}", 443)
    answer = netpol("egress", traffic.write(tmp_path / "x.pcap"), "--cluster", pods, "-o", "domains")
    warnings = [line for line in answer.err.splitlines() if line.startswith("netpol: warning: ")]
    assert "198.51.100.1 " in warnings[0]
    assert len(warnings) == 11
    assert warnings[-1].startswith("netpol: warning: and 10 more of the kind")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_allowlist_holds_what_a_threat_list_names(
    netpol: Netpol, shop: Path, sample: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "list.txt"
    path.write_text("api.partner.example\n")
    answer = netpol("egress", shop, "--cluster", sample / "cluster.yaml", "-o", name, "--threat-list", path)
    assert answer.code == 1
    assert "partner.example" not in answer.out
    assert PARTNER not in answer.out
    assert "On a threat list" in answer.err


def test_what_a_threat_list_names_is_told_and_no_need(netpol: Netpol, shop: Path, sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{PARTNER}\n")
    answer = netpol("egress", shop, "--cluster", sample / "cluster.yaml", "--threat-list", path)
    assert "Tried outside, and not learned:" in answer.out
    assert "a threat list names the address" in answer.out
    assert "strong" not in answer.out


@pytest.mark.parametrize("name", ["cidrs", "networkpolicy", "nftables"])
@pytest.mark.parametrize("bound", [("--max-prefixes", "1"), ("--max-waste", "0.5")])
def test_no_block_is_widened_over_what_a_threat_list_names(
    netpol: Netpol, pods: Path, tmp_path: Path, name: str, bound: tuple[str, str]
) -> None:
    traffic = NamedTraffic()
    for last in (0, 1, 2, 3, 5, 6, 7):
        traffic.tcp(WEB, f"8.8.4.{last}", 443)
    capture = traffic.write(tmp_path / "x.pcap")
    path = tmp_path / "list.txt"
    path.write_text("8.8.4.4\n")
    command = ("egress", capture, "--cluster", pods, "-o", name, *bound)
    assert "8.8.4.0/29" in netpol(*command).out
    answer = netpol(*command, "--threat-list", path)
    # Never 8.8.4.4: 8.8.4.0 to .3, .5, and .6 with .7.
    assert [block for block in ("8.8.4.0/30", "8.8.4.5/32", "8.8.4.6/31") if block not in answer.out] == []
    assert "8.8.4.0/29" not in answer.out
    assert "8.8.4.4/3" not in answer.out


@pytest.mark.parametrize(
    ("listed", "depth", "written"),
    [
        ("bad.cdn.example.com", "one", False),
        (".bad.cdn.example.com", "one", False),
        ("*.bad.cdn.example.com", "one", True),
        ("*.bad.cdn.example.com", "any", False),
        ("very.bad.cdn.example.com", "one", True),
        ("very.bad.cdn.example.com", "any", False),
        ("cdn.example.com", "any", True),
        ("badcdn.example.com", "any", True),
    ],
)
def test_no_pattern_stands_for_what_a_threat_list_names(
    netpol: Netpol, pods: Path, tmp_path: Path, listed: str, depth: str, *, written: bool
) -> None:
    traffic = NamedTraffic()
    for last in range(1, 7):
        traffic.dns(WEB, f"h{last}.cdn.example.com", [f"198.51.100.{last}"])
        traffic.http(WEB, f"198.51.100.{last}", f"h{last}.cdn.example.com")
    path = tmp_path / "list.txt"
    path.write_text(f"first.example.org\n{listed}\n")
    options = ("--wildcards", "--wildcard-depth", depth, "--threat-list", path, "-o", "domains")
    answer = netpol("egress", traffic.write(tmp_path / "x.pcap"), "--cluster", pods, *options)
    assert ("*.cdn.example.com" in answer.out) is written
    assert ("h3.cdn.example.com" in answer.out) is not written
    assert (f"is not written: it would admit what line 2 of {path} names" in answer.err) is not written
