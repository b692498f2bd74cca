from __future__ import annotations

from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from netpol.dialects.cilium import to_cilium
from netpol.dialects.translation import Surroundings
from netpol.model.cidr import IPBlock
from netpol.model.labels import LabelSelector
from netpol.model.policy import BlockPeer, NetworkPolicy, PolicyPort, Rule
from tests.dialects import dialect_samples as samples
from tests.dialects import small_world
from tests.dialects.cilium_reference import Cilium
from tests.dialects.ends import outside, pods


def spec(name: str) -> dict[str, Any]:
    policy, around = samples.SAMPLES[name]
    found: dict[str, Any] = yaml.safe_load(to_cilium([policy], around).to_yaml())["spec"]
    return found


def remarks(policy: NetworkPolicy, around: Surroundings) -> dict[str, str]:
    return {remark.identifier: remark.text for remark in to_cilium([policy], around).remarks}


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_readers_of_yaml_1_1_and_1_2_agree(name: str) -> None:
    policy, around = samples.SAMPLES[name]
    text = to_cilium([policy], around).to_yaml()
    assert yaml.safe_load(text) == YAML(typ="safe", pure=True).load(text)
    assert text.isascii()


CLOSED = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  endpointSelector:
    matchLabels:
      app: web
  ingress:
    - {} # nobody may connect
  egress:
    - {} # may connect to nobody
"""


def test_a_direction_in_which_nothing_is_allowed_has_a_rule_that_matches_nothing() -> None:
    policy, around = samples.SAMPLES["closed"]
    assert to_cilium([policy], around).to_yaml() == CLOSED
    assert (
        "endpointSelector: {} # every pod of the namespace\n"
        in to_cilium([samples.SAMPLES["default-deny"][0]], around).to_yaml()
    )


def test_a_direction_that_is_not_isolated_has_no_section() -> None:
    assert set(spec("ingress-only")) == {"endpointSelector", "ingress"}


def test_each_kind_of_peer_has_a_rule_of_its_own() -> None:
    ports = [
        {
            "ports": [
                {"port": "8080", "protocol": "TCP"},
                {"port": "9000", "endPort": 9010, "protocol": "SCTP"},
            ]
        }
    ]
    assert spec("kinds-of-peers")["ingress"] == [
        {"fromEndpoints": [{"matchLabels": {"app": "gate"}}], "toPorts": ports},
        {"fromEntities": ["host", "kube-apiserver", "remote-node"], "toPorts": ports},
        {"fromCIDR": ["192.0.2.0/24"], "toPorts": ports},
    ]
    everywhere, cut, db = spec("kinds-of-peers")["egress"]
    assert everywhere == {"toEntities": ["world"]}
    assert cut == {"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]}
    assert [len(item["ports"]) for item in db["toPorts"]] == [40, 11]


def test_what_differs_is_said() -> None:
    assert set(remarks(*samples.SAMPLES["kinds-of-peers"])) == {
        "cilium-any-node",
        "cilium-block-in-cluster",
        "cilium-named-port",
        "cilium-port-range",
        "cilium-sctp",
    }
    assert remarks(*samples.SAMPLES["closed"]) == {}


def test_names_take_the_place_of_the_addresses_that_they_explain_and_dns_is_watched() -> None:
    dns, addresses, names = spec("names")["egress"]
    assert dns["toPorts"] == [
        {"ports": [{"port": "9153", "protocol": "TCP"}]},
        {
            "ports": [{"port": "53", "protocol": "UDP"}, {"port": "53", "protocol": "TCP"}],
            "rules": {"dns": [{"matchPattern": "*"}]},
        },
    ]
    # Several names share .4, and nothing names .5: their addresses stay.
    assert addresses["toCIDR"] == ["203.0.113.4/31"]
    assert names == {
        "toFQDNs": [
            {"matchPattern": "**.example.net"},
            {"matchPattern": "*.example.com"},
            {"matchName": "api.example.org"},
        ],
        "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}],
    }
    assert {"cilium-wildcard", "cilium-deep-wildcard"} <= set(remarks(*samples.SAMPLES["names"]))


def test_where_cilium_cannot_see_dns_addresses_stay() -> None:
    policy, around = samples.SAMPLES["names-without-dns"]
    assert spec("names-without-dns")["egress"][0]["toCIDR"] == ["203.0.113.1/32", "203.0.113.2/31"]
    assert set(remarks(policy, around)) == {"cilium-no-dns"}


def test_what_was_seen_beyond_networkpolicies_is_allowed() -> None:
    found = spec("beyond")
    echo, echo6 = ([{"fields": [{"type": kind, "family": name}]}] for kind, name in ((8, "IPv4"), (128, "IPv6")))
    assert found["ingress"] == [
        {"fromEndpoints": [{"matchLabels": {"app": "probe"}}], "icmps": echo},
        {"fromEntities": ["host", "remote-node"], "icmps": echo},
    ]
    assert found["egress"] == [
        {"toCIDR": ["2001:db8::1/128"], "icmps": echo6},
        {"toEntities": ["host"], "toPorts": [{"ports": [{"port": "8125", "protocol": "UDP"}]}]},
        {"toEntities": ["host"], "icmps": echo},
    ]


def test_kept_rules_are_marked_where_they_stand_in_this_document() -> None:
    policy, around = samples.SAMPLES["kept-rules"]
    text = to_cilium([policy], around).to_yaml()
    assert "# kept: not exercised in the capture\n    - fromEndpoints:" in text
    assert yaml.safe_load(text)["metadata"]["annotations"] == {"netpol/kept-not-exercised": "spec.ingress[1]"}
    whole, _ = samples.SAMPLES["kept"]
    assert to_cilium([whole], around).to_yaml().startswith("# kept: nothing of it was exercised in the capture\n")


def test_a_label_that_identities_lack_is_told() -> None:
    selector = LabelSelector(match_labels={"app": "web", "pod-template-hash": "5d4f"})
    found = remarks(samples.policy(pod_selector=selector), Surroundings())
    assert "pod-template-hash" in found["cilium-ignored-label"]


def test_remarks_about_several_policies_are_made_once() -> None:
    policies = [samples.policy(egress=(Rule(ports=(PolicyPort(port=1, end_port=9),)),)) for _ in range(2)]
    (remark,) = to_cilium(policies, Surroundings()).remarks
    assert remark.policies == ("shop/web",)


def test_a_block_that_holds_pods_is_told() -> None:
    held = {address: f"{pod.namespace}/{pod.name}" for pod in small_world.WORLD.pods for address in pod.addresses}
    policy = samples.policy(egress=(Rule(peers=(BlockPeer(IPBlock.parse("10.0.0.0/8")),)),))
    assert "pod a/bare, pod a/db, pod a/web" in remarks(policy, Surroundings(pods=held))["cilium-block-in-cluster"]


def test_a_dns_cache_of_the_node_is_told() -> None:
    policy = samples.policy(egress=(Rule(peers=samples.blocks("169.254.20.10/32"), ports=(PolicyPort(port=53),)),))
    assert set(remarks(policy, Surroundings())) == {"cilium-node-dns"}
    (rule,) = yaml.safe_load(to_cilium([policy], Surroundings()).to_yaml())["spec"]["egress"]
    assert rule["toCIDR"] == ["169.254.20.10/32"]


def test_names_admit_what_dns_answers_for_them() -> None:
    policy, around = samples.SAMPLES["names"]
    judge = Cilium(
        [yaml.safe_load(to_cilium([policy], around).to_yaml())],
        pods(small_world.WORLD),
        resolved={"api.example.org": ["198.51.100.9"], "*.example.com": ["198.51.100.10"]},
    )
    subject = next(pods(small_world.WORLD))
    web = type(subject)(kind="pod", addresses=(), party=subject.party, namespace="shop", labels={"app": "web"})
    reached = [
        str(end.addresses[0])
        for end in outside(["198.51.100.9", "198.51.100.10", "198.51.100.11", "203.0.113.1", "203.0.113.5"])
        if judge.side("egress", web, end, 6, 443)
    ]
    assert reached == ["198.51.100.9", "198.51.100.10", "203.0.113.5"]
