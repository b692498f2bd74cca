from __future__ import annotations

from typing import Any

import pytest

from netpol.errors import InputError
from netpol.model.flow import ICMP, SCTP
from netpol.model.policy import NetworkPolicy, PodPeer, PolicyPort


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "TCP"),
        ({"port": 80}, "TCP/80"),
        ({"port": 80, "end_port": 90, "protocol": SCTP}, "SCTP/80-90"),
        ({"port": "http"}, "TCP/http"),
        ({"port": 80, "end_port": 80}, "TCP/80-80"),
    ],
)
def test_ports(fields: dict[str, Any], text: str) -> None:
    assert str(PolicyPort(**fields)) == text


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": ICMP},
        {"port": 0},
        {"port": 65536},
        {"port": "HTTP"},
        {"port": "80"},
        {"end_port": 80},
        {"port": "http", "end_port": 80},
        {"port": 80, "end_port": 79},
        {"port": 80, "end_port": 65536},
    ],
)
def test_invalid_ports_do_not_exist(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PolicyPort(**fields)


def test_an_empty_peer_does_not_exist() -> None:
    with pytest.raises(InputError, match="empty"):
        PodPeer()


@pytest.mark.parametrize(
    ("namespace", "name"), [("A", "a"), ("a.b", "a"), ("", "a"), ("a", "A"), ("a", ""), ("a", "-")]
)
def test_names_are_valid(namespace: str, name: str) -> None:
    with pytest.raises(InputError):
        NetworkPolicy(namespace=namespace, name=name)


def test_policies_can_be_keys() -> None:
    policy = NetworkPolicy(namespace="a", name="b", labels={"x": "y"}, isolates_egress=True)
    assert {policy: 1}[NetworkPolicy(namespace="a", name="b", labels={"x": "y"}, isolates_egress=True)] == 1
    assert policy.policy_types == ("Ingress", "Egress")
    assert str(policy) == "a/b"
