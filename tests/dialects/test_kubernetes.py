from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from netpol.cluster.documents import Document
from netpol.dialects.kubernetes import to_files, to_yaml
from netpol.dialects.read import read_policies
from netpol.model.cidr import IPBlock
from netpol.model.flow import SCTP, TCP, UDP
from netpol.model.labels import LabelSelector, Operator, Requirement
from netpol.model.policy import BlockPeer, NetworkPolicy, PodPeer, PolicyPort, Rule

MISREAD = [
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "N",
    "true",
    "null",
    "1e3",
    "0x1F",
    "012",
    "0o14",
    "1_000",
    "1.5",
    "0b1",
    "",
    "x",
]
MISREAD += ["2001-01-01", "12345678901234567890", "7", "9e9", "NaN", "inf", "a.b", "0"]
KEYS = [*(word for word in MISREAD if word), "app", "app.kubernetes.io/name", "1.2/3"]

requirements = st.one_of(
    st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])),
    st.builds(
        Requirement,
        st.sampled_from(KEYS),
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.lists(st.sampled_from(MISREAD), min_size=1, max_size=3).map(tuple),
    ),
)
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(MISREAD), max_size=3)
selectors = st.builds(
    LabelSelector, match_labels=labels, match_expressions=st.lists(requirements, max_size=2).map(tuple)
)
blocks = st.sampled_from(
    [
        IPBlock(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"), ip_network("10.2.3.4/32"))),
        IPBlock(ip_network("0.0.0.0/0")),
        IPBlock(ip_network("::/0"), (ip_network("2001:db8::/32"),)),
        IPBlock(ip_network("192.168.0.1/32")),
        IPBlock(ip_network("2001:db8::1/128")),
    ]
)
peers = st.one_of(
    st.builds(BlockPeer, blocks),
    st.builds(PodPeer, pod_selector=selectors),
    st.builds(PodPeer, namespace_selector=selectors),
    st.builds(PodPeer, pod_selector=selectors, namespace_selector=selectors),
)
protocols = st.sampled_from([TCP, UDP, SCTP])
ports = st.one_of(
    st.builds(PolicyPort, protocol=protocols),
    st.builds(
        PolicyPort,
        protocol=protocols,
        port=st.one_of(st.integers(1, 65535), st.sampled_from(["http", "on", "y", "1e3"])),
    ),
    st.builds(PolicyPort, protocol=protocols, port=st.integers(1, 100), end_port=st.integers(100, 65535)),
)
rules = st.builds(Rule, peers=st.lists(peers, max_size=3).map(tuple), ports=st.lists(ports, max_size=3).map(tuple))
several = st.lists(rules, max_size=2).map(tuple)
sides = st.sampled_from([(True, False), (False, True), (True, True)])


@st.composite
def policies(draw: st.DrawFn) -> NetworkPolicy:
    ingress, egress = draw(sides)
    return NetworkPolicy(
        namespace=draw(st.sampled_from(["default", "yes", "1e3", "0"])),
        name=draw(st.sampled_from(["web", "no", "1.5", "2001-01-01", "a.b-c"])),
        pod_selector=draw(selectors),
        isolates_ingress=ingress,
        isolates_egress=egress,
        ingress=draw(several) if ingress else (),
        egress=draw(several) if egress else (),
        labels=draw(labels),
        annotations=draw(st.dictionaries(st.sampled_from(["a/b", "on"]), st.text(max_size=20), max_size=2)),
    )


NODES = {ip_address("192.168.0.1"): "worker-1", ip_address("2001:db8::1"): "evil\nspec: {}"}


@settings(deadline=None, max_examples=100)
@given(policies())
def test_what_is_written_reads_back_as_the_same_policy(policy: NetworkPolicy) -> None:
    text = to_yaml([policy], nodes=NODES)
    old, new = yaml.safe_load(text), YAML(typ="safe", pure=True).load(text)
    assert old == new
    (found,) = read_policies([Document(("stdin",), old)]).policies
    assert found == policy
    assert (found.labels, found.annotations) == (policy.labels, policy.annotations)


@settings(deadline=None, max_examples=30)
@given(st.lists(policies(), max_size=4))
def test_a_stream_has_a_document_for_each_policy(several: list[NetworkPolicy]) -> None:
    documents = [item for item in yaml.safe_load_all(to_yaml(several)) if item is not None]
    assert [item["metadata"]["name"] for item in documents] == [policy.name for policy in several]


WEB = NetworkPolicy(
    namespace="shop",
    name="web",
    pod_selector=LabelSelector(match_labels={"app": "web"}),
    isolates_egress=True,
    ingress=(
        Rule(
            peers=(
                PodPeer(pod_selector=LabelSelector(match_labels={"app": "gate"})),
                PodPeer(
                    pod_selector=LabelSelector(match_labels={"app": "probe"}),
                    namespace_selector=LabelSelector(match_labels={"kubernetes.io/metadata.name": "monitoring"}),
                ),
                BlockPeer(IPBlock(ip_network("192.168.0.1/32"))),
                BlockPeer(IPBlock(ip_network("2001:db8::1/128"))),
            ),
            ports=(PolicyPort(port=8080), PolicyPort(protocol=UDP, port=9000, end_port=9010)),
        ),
    ),
    labels={"app.kubernetes.io/managed-by": "netpol"},
)

EXPECTED = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
  labels:
    app.kubernetes.io/managed-by: netpol
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes:
    - Ingress
    - Egress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: gate
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: monitoring
          podSelector:
            matchLabels:
              app: probe
        - ipBlock:
            cidr: 192.168.0.1/32 # node worker-1
        - ipBlock:
            cidr: "2001:db8::1/128" # a node
      ports:
        - protocol: TCP
          port: 8080
        - protocol: UDP
          port: 9000
          endPort: 9010
  egress: [] # may connect to nobody
"""


def test_the_layout_is_the_one_that_people_write() -> None:
    assert to_yaml([WEB], nodes=NODES) == EXPECTED


def test_files_are_one_a_policy_and_a_kustomization_that_lists_them() -> None:
    other = NetworkPolicy(namespace="on", name="x" * 63 + ("." + "y" * 60) * 3, pod_selector=LabelSelector())
    files = to_files([WEB, other])
    assert files["shop/web.yaml"] == to_yaml([WEB])
    listed = yaml.safe_load(files["kustomization.yaml"])["resources"]
    assert listed == sorted(set(files) - {"kustomization.yaml"})
    assert list(files) == ["kustomization.yaml", *listed]
    for path in files:
        parts = PurePosixPath(path).parts
        assert len(parts) <= 2
        assert all(len(part.encode()) <= 255 and part not in {"", ".", ".."} and "/" not in part for part in parts)
        assert path == path.lower()


def test_two_policies_of_one_name_are_a_defect_that_is_not_papered_over() -> None:
    with pytest.raises(ValueError, match="shop/web"):
        to_files([WEB, WEB])


def test_nothing_at_all_is_still_a_valid_kustomization() -> None:
    files: dict[str, Any] = to_files([])
    assert yaml.safe_load(files["kustomization.yaml"])["resources"] == []
    assert to_yaml([]) == ""
