"""What every format does alike: nothing is lost without a word, nothing varies, nothing hostile gets through."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.dialects.allowlists.formats import FORMATS, LEFT_OUT, files
from netpol.dialects.allowlists.values import Options
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.inventory import Inventory, Node, Pod, Service, WorkloadRef
from netpol.model.labels import LabelSelector
from netpol.model.outside import Grade, Need
from netpol.model.prefixes import Bound
from tests.dialects.allowlists.scene import BUCKETS, DB, DEEP, NEEDS, OPTIONS, WEB, need
from tests.dialects.allowlists.scene import name as host

ALL = pytest.mark.parametrize("name", sorted(FORMATS))

BY_NAME = {"domains", "aws-network-firewall"}
"""Formats that hold names alone."""
BY_ADDRESS = {"cidrs", "networkpolicy", "nftables", "ipset", "iptables", "aws-security-group"}
"""Formats that hold addresses alone."""

names = st.sampled_from(["a.example.com", "b.example.com", "c.store.example.com", "x.y.cdn.example.net", "v.example"])
some_addresses = st.lists(
    st.sampled_from(["198.51.100.1", "198.51.100.2", "203.0.113.200", "2001:db8::1", "2001:db8:1::9"]),
    min_size=1,
    max_size=3,
    unique=True,
)


@st.composite
def needs(draw: st.DrawFn) -> Need:
    end = draw(st.none() | names)
    grade = Grade.NONE if end is None else draw(st.sampled_from([Grade.STRONG, Grade.MEDIUM, Grade.AMBIGUOUS]))
    pattern = next((one for one in (BUCKETS, DEEP) if end and one.covers(host(end))), None)
    return need(
        draw(st.sampled_from([WEB, DB])),
        end,
        *sorted(draw(some_addresses), key=lambda text: (":" in text, int(ip_address(text)))),
        port=draw(st.sampled_from([22, 80, 443, 8443])),
        protocol=draw(st.sampled_from([TCP, UDP, SCTP])),
        grade=grade,
        wildcard=draw(st.sampled_from([None, pattern])),
    )


@ALL
@settings(deadline=None, max_examples=25)
@given(several=st.lists(needs(), max_size=6), options=st.sampled_from([OPTIONS, Options()]))
def test_what_is_not_written_is_remarked(name: str, several: list[Need], options: Options) -> None:
    found = FORMATS[name].write(several, options)
    said = "\n".join(found.remarks)
    for one in several:
        shown = {str(one.name), str(one.wildcard), str(one.wildcard).replace("**.", "*."), *map(str, one.addresses)}
        shown |= {rf"{one.wildcard.parent}".replace(".", r"\.")} if one.wildcard else set()
        blocks = {str(block) for block in found_blocks(found.text)}
        if name == "iptables":  # whose addresses stand in the sets that it names
            shown.add(f'"{one.workload.namespace}/{one.workload.name}"')
        written = any(text in found.text for text in shown) or any(
            address in block for address in one.addresses for block in map(ip_network, blocks)
        )
        assert written or str(one.name or one.addresses[0]) in said or str(one.workload) in said, one


def found_blocks(text: str) -> set[str]:
    return set(re.findall(r"[0-9a-f:.]+/[0-9]{1,3}(?![0-9:])", text)) & {
        text for text in re.findall(r"[0-9a-f:.]+/[0-9]{1,3}", text) if _is_block(text)
    }


def _is_block(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


@ALL
def test_a_bound_changes_what_has_blocks_and_nothing_else(name: str) -> None:
    addresses = [f"203.0.113.{last}" for last in (1, 2, 9)]
    spread = [need(WEB, "one.example.com", *addresses, grade=Grade.AMBIGUOUS)]
    exact, wider = (
        FORMATS[name].write(spread, replace(OPTIONS, bound=bound)) for bound in (None, Bound(max_prefixes=1))
    )
    assert (exact.text != wider.text) is FORMATS[name].bounded


@ALL
def test_order_and_repetition_of_what_is_given_change_nothing(name: str) -> None:
    write = FORMATS[name].write
    once = write(NEEDS, OPTIONS)
    assert write(tuple(reversed(NEEDS)), OPTIONS) == once
    # Nor do figures that the next capture changes.
    later = [replace(one, connections=99, bytes=5, first_seen=7, last_seen=9) for one in NEEDS]
    assert write(later, OPTIONS) == once
    assert once.text.isascii()
    assert once.text.endswith("\n")
    assert not re.search(r"[^\n\t -~]", once.text)
    assert list(once.remarks) == sorted(set(once.remarks))


@ALL
def test_nothing_needed_is_nothing_written_and_nothing_remarked(name: str) -> None:
    assert FORMATS[name].write((), OPTIONS).remarks == ()


@ALL
def test_an_ambiguous_name_is_never_written_as_allowed(name: str) -> None:
    doubtful = need(WEB, "one.shared.example", "203.0.113.7", grade=Grade.AMBIGUOUS, sharing=("two.shared.example",))
    found = FORMATS[name].write([doubtful], OPTIONS)
    if name in BY_NAME:
        assert any("one.shared.example" in remark for remark in found.remarks)
        assert "one.shared.example" not in found.text
        return
    uncommented = re.sub(r"#.*", "", found.text)
    if name.startswith("feed"):
        assert "ambiguous" in uncommented
    elif name != "aws-security-group":
        assert "one.shared.example" not in uncommented
    if name != "iptables":
        assert "203.0.113.7" in uncommented


@ALL
def test_an_address_that_other_names_share_is_remarked_where_addresses_are_allowed(name: str) -> None:
    shared = need(WEB, "api.partner.example", "198.51.100.20", sharing=("other.partner.example",))
    remarks = FORMATS[name].write([shared], OPTIONS).remarks
    wanted = name in (BY_ADDRESS - {"iptables"}) | {"cilium", "calico", "calico-sets"}
    assert any("other.partner.example" in remark for remark in remarks) is wanted


@ALL
def test_a_widened_block_is_stated(name: str) -> None:
    several = [need(WEB, None, address, port=5432) for address in ("8.8.8.1", "8.8.8.6")]
    found = FORMATS[name].write(several, replace(OPTIONS, bound=Bound(max_prefixes=1)))
    if name in BY_NAME | {"iptables"}:
        assert "8.8.8.0" not in found.text
    elif name == "feed":
        # Each need has its own row, and its own block.
        assert [json.loads(line)["unseen"] for line in found.text.splitlines()] == [0, 0]
    elif name != "feed-csv":
        assert re.search(r"8\.8\.8\.0\b", found.text)
        assert any("8.8.8.0/29 is widened: 6 of its 8 addresses were never seen" in one for one in found.remarks)


@ALL
def test_fewer_blocks_than_can_be_are_told_of(name: str) -> None:
    several = [need(WEB, None, "10.244.0.1", "10.246.0.1", "8.8.8.8", port=5432)]
    options = replace(OPTIONS, bound=Bound(max_prefixes=1))
    remarks = FORMATS[name].write(several, options).remarks
    told = any("3 IPv4 blocks, not 1" in remark for remark in remarks)
    assert told is (name not in BY_NAME | {"iptables"})


@pytest.mark.parametrize("name", ["networkpolicy", "cilium", "calico", "calico-sets"])
def test_pods_that_no_labels_name_get_no_policy(name: str) -> None:
    found = FORMATS[name].write(NEEDS, replace(OPTIONS, selectors={WEB: OPTIONS.selectors[WEB]}))
    assert "data" not in re.findall(r"namespace: (\S+)", found.text)
    assert any(remark.startswith(f"{DB} is left out") for remark in found.remarks)


@pytest.mark.parametrize("name", ["networkpolicy", "cilium", "calico"])
def test_a_union_of_selectors_is_a_policy_for_each(name: str) -> None:
    both = (LabelSelector(match_labels={"app": "web"}), LabelSelector(match_labels={"app": "web-old"}))
    text = FORMATS[name].write(NEEDS, replace(OPTIONS, selectors={WEB: both})).text
    assert re.findall(r"^  name: (\S+)", text, re.MULTILINE) == ["web-outside", "web-2-outside"]


def test_a_policy_that_opens_the_world_under_another_edition_says_so_in_the_file() -> None:
    warning = "elsewhere the field is dropped, and such a rule would allow everyone"
    documents = FORMATS["calico"].write(NEEDS, OPTIONS).text.split("---\n")
    assert {warning in document for document in documents if "domains:" in document} == {True}
    assert {warning in document for document in documents if "domains:" not in document} <= {False}
    assert warning not in FORMATS["calico-sets"].write(NEEDS, OPTIONS).text


@pytest.mark.parametrize(("name", "spelled"), [("domains", "*."), ("cilium", "*.")])
def test_a_pattern_of_one_label_stays_one_where_it_can_be_said(name: str, spelled: str) -> None:
    text = FORMATS[name].write([need(WEB, "a.store.example.com", "192.0.2.1", wildcard=BUCKETS)], OPTIONS).text
    assert f"{spelled}store.example.com" in text
    assert "**" not in text.replace("**.cluster.local", "")


@pytest.mark.parametrize("name", ["calico", "calico-sets", "istio", "envoy", "aws-network-firewall"])
def test_a_pattern_of_one_label_is_its_names_where_it_cannot_be_said(name: str) -> None:
    found = FORMATS[name].write([need(WEB, "a.store.example.com", "192.0.2.1", wildcard=BUCKETS)], OPTIONS)
    assert "a.store.example.com" in found.text
    assert "*.store" not in found.text
    assert any("*.store.example.com is written as the names that were seen" in remark for remark in found.remarks)


def test_the_feed_has_a_row_for_each_need_in_both_forms() -> None:
    objects = [json.loads(line) for line in FORMATS["feed"].write(NEEDS, OPTIONS).text.splitlines()]
    rows = list(csv.DictReader(io.StringIO(FORMATS["feed-csv"].write(NEEDS, OPTIONS).text)))
    assert len(objects) == len(rows) == len(NEEDS)
    for found, row in zip(objects, rows, strict=True):
        flat = {key: " ".join(item) if isinstance(item, list) else item for key, item in found.items()}
        assert {key: "" if item is None else str(item) for key, item in flat.items()} == row


def test_plain_blocks_are_exact_and_as_few_as_can_be() -> None:
    text = FORMATS["cidrs"].write(NEEDS, OPTIONS).text
    assert [line.split()[0] for line in text.splitlines()] == [
        "192.0.2.8/30",
        "198.51.100.20/32",
        "198.51.100.64/31",
        "198.51.100.70/32",
        "203.0.113.7/32",
        "203.0.113.99/32",
        "203.0.113.123/32",
        "2001:db8:5::20/128",
        "2001:db8:9::1/128",
        "2001:db8:9::2/128",
    ]


def test_files_hold_every_format_and_what_each_leaves_out() -> None:
    found = files(NEEDS, OPTIONS)
    assert list(found) == sorted(found)
    for name, form in FORMATS.items():
        whole = form.write(NEEDS, OPTIONS)
        assert found[f"{name}{form.suffix}"] == whole.text
        assert all(f"{name}: {remark}\n" in found[LEFT_OUT] for remark in whole.remarks)
    assert found["domains/data/db.v1-0.statefulset.txt"].split()[0] == "backup.example.org"
    assert all(".." not in PurePosixPath(path).parts and not path.startswith("/") for path in found)
    assert files((), OPTIONS) == {}


HOSTILE = [
    WorkloadRef(namespace="on", name="null", kind="Deployment"),
    WorkloadRef(namespace="1e3", name="0x1f", kind="Job"),
    WorkloadRef(namespace="a", name="x" * 253, kind="StatefulSet"),
    WorkloadRef(namespace="a", name="x" * 252 + "y", kind="StatefulSet"),
    WorkloadRef(namespace="a-b", name="c", kind="Deployment"),
    WorkloadRef(namespace="a", name="b-c", kind="Deployment"),
    WorkloadRef(namespace="a", name="b.c", kind="Deployment"),
]


@ALL
def test_names_that_a_format_could_misread_stay_apart(name: str) -> None:
    several = [need(ref, "yes.example", f"198.51.100.{index}") for index, ref in enumerate(HOSTILE, 1)]
    options = Options(
        selectors={ref: (LabelSelector(match_labels={"app": f"y{index}"}),) for index, ref in enumerate(HOSTILE)},
        sources={ref: (ip_address(f"10.244.0.{index}"),) for index, ref in enumerate(HOSTILE)},
    )
    text = FORMATS[name].write(several, options).text
    for pattern in (r"^create (\S+)", r"^\tset (\S+)", r"^acl (\S+_src) "):
        words = re.findall(pattern, text, re.MULTILINE)
        assert len(words) == len(set(words))
    if name in {"networkpolicy", "cilium", "calico"}:
        places = re.findall(r"^  name: (.*)\n  namespace: (.*)", text, re.MULTILINE)
        assert len(set(places)) == len(HOSTILE)


def test_options_come_from_the_cluster() -> None:
    web = Pod(
        uid="1",
        namespace="shop",
        name="web-1",
        labels={"app": "web"},
        workload=WEB,
        addresses=(ip_address("10.1.0.1"),),
    )
    gone = replace(web, uid="2", name="web-2", addresses=(ip_address("10.1.0.2"),), ended=5)
    reused = replace(web, uid="3", name="web-3", addresses=(ip_address("10.1.0.3"),))
    other = Pod(
        uid="4",
        namespace="shop",
        name="x",
        labels={"app": "x"},
        workload=WorkloadRef(namespace="shop", name="x", kind="Pod"),
        addresses=(ip_address("10.1.0.3"),),
    )
    inventory = Inventory(
        namespaces={},
        pods=(web, gone, reused, other),
        nodes=(Node(name="n", addresses=(ip_address("192.168.0.1"),)),),
        services=(Service(namespace="shop", name="s", selector=None, addresses=(ip_address("10.96.0.9"),)),),
        pod_cidrs=("10.1.0.0/16",),
        service_cidrs=("10.97.0.0/16",),
    )
    options = Options.of(NEEDS, inventory, Bound(max_waste=Fraction(1, 2)))
    assert options.sources[WEB] == (ip_address("10.1.0.1"),)
    assert options.sources[DB] == ()
    assert options.selectors[WEB] == (LabelSelector(match_labels={"app": "web"}),)
    for text in ("10.1.255.255", "10.96.0.9", "10.97.1.1", "192.168.0.1"):
        assert ip_address(text) in options.never
    assert options.most is None
