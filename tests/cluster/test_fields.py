from __future__ import annotations

import gc
import string
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netpol.cluster.documents import Document
from netpol.cluster.fields import Fields, Object, parse_address
from netpol.cluster.manifests import inventory_of
from netpol.errors import InputError
from netpol.model.labels import is_dns_label, is_dns_subdomain
from tests.cluster.objects import owned, pod

numbers = st.integers(0, 300).map(str) | st.sampled_from(
    ["", "00", "01", "007", "0x1", "1e1", "+1", "-1", " 1", "\u0661"]
)
dotted = st.lists(numbers, min_size=1, max_size=5).map(".".join)


@given(dotted | st.ip_addresses().map(str) | st.text(max_size=12))
@example("10.0.0.1\0")
@example("10.0.0.1\n")
@example("::ffff:10.0.0.1")
@example("fe80::1%eth0")
@example("\ud800")
def test_an_address_is_what_ipaddress_says_without_zone_and_unmapped(text: str) -> None:
    try:
        expected: object = ip_address(text)
    except ValueError:
        expected = None
    if isinstance(expected, IPv6Address):
        expected = None if expected.scope_id is not None else expected.ipv4_mapped or expected
    if expected is None:
        with pytest.raises(InputError, match="is not an IP address"):
            parse_address(text)
    else:
        found = parse_address(text)
        assert (found, type(found)) == (expected, type(expected))


@given(st.lists(st.text(string.ascii_lowercase + "0-.A_", max_size=8), min_size=1, max_size=4).map(".".join))
@example("a" * 253)
@example("a" * 254)
@example("a\n")
def test_a_subdomain_is_labels_joined_by_dots(text: str) -> None:
    expected = len(text) < 254 and all(is_dns_label(part) or len(part) > 63 for part in text.split("."))
    assert is_dns_subdomain(text) is expected


class TestLabels:
    def test_equal_ones_are_one_object_and_none_that_was_parsed(self) -> None:
        written = [{"app": "a", "tier": "b"}, {"app": "a", "tier": "b"}]
        first, second = (Fields({"labels": labels}).labels() for labels in written)
        assert first is second
        assert first == written[0]
        assert all(first is not labels for labels in written)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ({"a": "b", "c": 1, "_": "x"}, "x.labels.c: is a number where text belongs"),
            ({"a": "b", "_": "x", "c": 1}, "x.labels: '_' is not a label key"),
            ({"a": None}, "x.labels.a: is nothing where text belongs"),
            ({"a": ["b"]}, "x.labels.a: is a list where text belongs"),
            ({"a": "b b"}, "x.labels: 'b b' is not a label value"),
            (["a"], "x.labels: is a list where a mapping belongs"),
        ],
    )
    def test_the_first_that_is_wrong_is_named(self, labels: object, message: str) -> None:
        with pytest.raises(InputError) as caught:
            Fields({"labels": labels}, step="x").labels()
        assert str(caught.value).startswith(message)


def test_metadata_has_the_path_that_it_has_in_its_object() -> None:
    item = Object.of(pod("a", metadata={"ownerReferences": [{"controller": "yes"}]}))
    assert item.metadata.path == "metadata"
    (reference,) = item.metadata.each("ownerReferences")
    assert reference.path == "metadata.ownerReferences[0]"


def test_what_was_parsed_is_let_go_of_without_a_search_for_cycles() -> None:
    place = ("f", "document 1")
    gc.collect()
    gc.disable()
    try:
        inventory = inventory_of(
            [
                Document(place, pod(f"a-{number}", "10.0.0.1", metadata=owned("ReplicaSet", "a")), place)
                for number in range(50)
            ]
        )
        left = gc.collect()
    finally:
        gc.enable()
    assert len(inventory.pods) == 50
    assert inventory.pods[0].addresses == (IPv4Address("10.0.0.1"),)
    assert left == 0
