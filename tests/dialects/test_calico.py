from __future__ import annotations

from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from netpol.dialects.calico import to_calico
from netpol.dialects.translation import Surroundings
from tests.dialects import dialect_samples as samples
from tests.dialects.calico_schema import problems


def documents(name: str, *, domains: bool = False) -> dict[str, Any]:
    policy, around = samples.SAMPLES[name]
    found: dict[str, Any] = yaml.safe_load(to_calico([policy], around, domains=domains).to_yaml())
    return found


def remarks(name: str, *, domains: bool = False) -> set[str]:
    policy, around = samples.SAMPLES[name]
    return {remark.identifier for remark in to_calico([policy], around, domains=domains).remarks}


@pytest.mark.parametrize("domains", [False, True])
@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_every_document_keeps_to_the_definition_for_every_reader(name: str, *, domains: bool) -> None:
    policy, around = samples.SAMPLES[name]
    text = to_calico([policy], around, domains=domains).to_yaml()
    assert text.isascii()
    assert yaml.safe_load(text) == YAML(typ="safe", pure=True).load(text)
    assert problems(yaml.safe_load(text), domains=domains) == []


EXPECTED = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  selector: "app == 'web'"
  types:
    - Ingress
    - Egress
  ingress: [] # nobody may connect
  egress:
    - action: Allow
      protocol: UDP
      destination:
        selector: "k8s-app == 'kube-dns'"
        namespaceSelector: "projectcalico.org/name == 'kube-system'"
        ports:
          - 53
    - action: Allow
      protocol: TCP
      destination:
        selector: "k8s-app == 'kube-dns'"
        namespaceSelector: "projectcalico.org/name == 'kube-system'"
        ports:
          - 53
          - 9153
"""


def test_the_layout_is_the_one_that_people_write() -> None:
    assert to_calico([samples.policy(egress=(samples.DNS,))], Surroundings()).to_yaml() == EXPECTED


def test_a_whole_namespace_is_all_and_a_direction_that_is_open_has_no_type() -> None:
    assert documents("default-deny")["spec"] == {
        "selector": "all()",
        "types": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [],
    }
    assert documents("ingress-only")["spec"]["types"] == ["Ingress"]


def test_peers_and_protocols_each_have_a_rule_and_families_do_not_mix() -> None:
    found = documents("kinds-of-peers")["spec"]["ingress"]
    assert [(rule["protocol"], rule["source"], rule["destination"]["ports"]) for rule in found] == [
        (protocol, source, ports)
        for source in (
            {"selector": "app == 'gate'"},
            {"nets": ["172.16.0.1/32", "172.16.0.9/32", "192.0.2.0/24"]},
            {"nets": ["fd99::1/128"]},
        )
        for protocol, ports in (("TCP", [8080]), ("SCTP", ["9000:9010"]))
    ]


def test_every_port_of_a_protocol_needs_no_ports_and_every_protocol_no_protocol() -> None:
    assert documents("everyone")["spec"]["ingress"] == [
        {"action": "Allow"},
        {"action": "Allow", "protocol": "UDP"},
        {"action": "Allow", "protocol": "TCP", "destination": {"ports": ["http"]}},
    ]


def test_names_are_for_those_whose_calico_knows_them() -> None:
    plain = documents("names")["spec"]["egress"][2:]
    assert plain == [
        {
            "action": "Allow",
            "protocol": "TCP",
            "destination": {"nets": ["203.0.113.1/32", "203.0.113.2/31", "203.0.113.4/31"], "ports": [443]},
        }
    ]
    assert remarks("names") == {"calico-names"}
    addresses, names = documents("names", domains=True)["spec"]["egress"][2:]
    assert addresses["destination"] == {"nets": ["203.0.113.4/31"], "ports": [443]}
    assert names["destination"] == {"domains": ["*.example.net", "*.example.com", "api.example.org"], "ports": [443]}
    assert remarks("names", domains=True) == {"calico-wildcard", "calico-wildcard-depth"}
    policy, around = samples.SAMPLES["names"]
    lines = [line.strip() for line in to_calico([policy], around, domains=True).to_yaml().splitlines()]
    assert lines[lines.index("domains:") - 1].endswith("elsewhere this field is dropped, and everyone is allowed")


def test_what_was_seen_beyond_networkpolicies_is_allowed() -> None:
    found = documents("beyond")["spec"]
    assert found["ingress"] == [
        {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}, "source": {"selector": "app == 'probe'"}},
        {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}, "source": {"nets": ["172.16.0.2/32"]}},
    ]
    nodes = ["172.16.0.1/32", "172.16.0.2/32"]
    assert found["egress"] == [
        {"action": "Allow", "protocol": "ICMPv6", "icmp": {"type": 128}, "destination": {"nets": ["2001:db8::1/128"]}},
        {"action": "Allow", "protocol": "UDP", "destination": {"nets": nodes, "ports": [8125]}},
        {"action": "Allow", "protocol": "UDP", "destination": {"nets": ["fd99::1/128"], "ports": [8125]}},
        {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}, "destination": {"nets": nodes}},
    ]
    assert remarks("beyond") == {"calico-own-node"}


def test_kept_rules_are_marked_where_they_stand_in_this_document() -> None:
    assert documents("kept-rules")["metadata"]["annotations"] == {"netpol/kept-not-exercised": "spec.ingress[1]"}
    policy, around = samples.SAMPLES["kept-rules"]
    assert "# kept: not exercised in the capture\n    - action: Allow" in to_calico([policy], around).to_yaml()
