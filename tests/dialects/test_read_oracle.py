"""The reader's verdict on any document is the API server's own, for which its decoding and validation code is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster.documents import Document
from netpol.dialects.read import read_policies
from netpol.errors import InputError
from tests.oracles.oracle import Oracle, build

if TYPE_CHECKING:
    from collections.abc import Iterator

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """`ValidateNetworkPolicy` behind strict decoding and the API's defaults, of the release that the go.mod names."""
    with Oracle(build("validation", tmp_path_factory.mktemp("validation"))) as oracle:
        yield oracle


def _mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The bad one now and then: documents with one or two errors tell more than documents with twenty."""
    return st.integers(0, 19).flatmap(lambda draw: good if draw else bad)


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Manifest]:
    """Each field present or not; now and then one that does not belong there."""
    known = st.fixed_dictionaries({}, optional={name.rstrip("_"): value for name, value in fields.items()})
    return _mostly(known, st.builds(lambda found, name: {**found, name: None}, known, st.sampled_from(["Spec", "x"])))


def _list(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _mostly(
        st.lists(items, max_size=3), st.none() | st.just({}) | st.just("x") | items.map(lambda item: [item, None])
    )


_WRONG: st.SearchStrategy[Any] = st.sampled_from([None, True, 1, "", "x", [], {}, -1, 1.5])
_KEYS = _mostly(
    st.sampled_from(["app", "kubernetes.io/metadata.name", "A.b_c-1", "x" * 63]),
    st.sampled_from(["", "-a", "a b", "a/b/c", "A/b", "a/", "/a", "x" * 64, "é", "a" * 254 + "/b", "a..b/c", "\n"]),
)
_VALUES = _mostly(
    st.sampled_from(["web", "", "A.b_c-1", "9", "x" * 63]),
    st.sampled_from(["-a", "a b", "a/b", "x" * 64, "a\n", "é"]) | _WRONG,
)
_SELECTORS = _mostly(
    _object(
        matchLabels=_mostly(st.dictionaries(_KEYS, _VALUES, max_size=2), _WRONG),
        matchExpressions=_list(
            _object(
                key=_KEYS,
                operator=_mostly(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]), st.just("in") | _WRONG),
                values=_list(_VALUES),
            )
        ),
    ),
    _WRONG,
)
_CIDRS = _mostly(
    st.sampled_from(
        ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0", "fd00::1/128", "2001:DB8::/32"]
    ),
    st.sampled_from(
        [
            "10.0.0.1/8",
            "010.0.0.0/8",
            "10.0.0.0/08",
            "10.0.0.0",
            "10.0.0.0/33",
            "::/129",
            "::ffff:10.0.0.0/104",
            "10.0.0.0/255.0.0.0",
            "10/8",
            "/8",
            "1.2.3.4.5/32",
            "fe80::%1/64",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "1:2/16",
            "::10.0.0.0/128",
            "1:2:3:4:5:6:7::/112",
            "::1/64",
        ]
    )
    | _WRONG,
)
_CUTS = st.sampled_from(["10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/9", "192.0.2.0/24", "2001:db8:1::/48", "::/1"]) | _CIDRS
_PEERS = _mostly(
    st.one_of(
        st.fixed_dictionaries({"podSelector": _SELECTORS}, optional={"namespaceSelector": _SELECTORS}),
        st.fixed_dictionaries({"ipBlock": _mostly(_object(cidr=_CIDRS, except_=_list(_CUTS)), _WRONG)}),
    ),
    _object(podSelector=_SELECTORS, namespaceSelector=_SELECTORS, ipBlock=_object(cidr=_CIDRS)) | _WRONG,
)
_PORTS = _object(
    protocol=_mostly(st.sampled_from(["TCP", "UDP", "SCTP", None]), st.sampled_from(["tcp", "ICMP"]) | _WRONG),
    port=_mostly(
        st.sampled_from([1, 80, 65535, "http", "a-1", "x" * 15]),
        st.sampled_from([0, 65536, 2**31, 2**63, "80", "a--b", "-a", "a-", "A", "x" * 16, "a_b", "é"]) | _WRONG,
    ),
    endPort=_mostly(st.none(), st.sampled_from([1, 80, 81, 65535, 65536, 0, 2**31]) | _WRONG),
)
_SPECS = _object(
    podSelector=_SELECTORS,
    policyTypes=_mostly(
        st.lists(st.sampled_from(["Ingress", "Egress"]), max_size=2),
        st.lists(st.sampled_from(["Ingress", "Egress", "ingress", None]), max_size=3) | _WRONG,
    ),
    ingress=_list(_object(from_=_list(_PEERS), ports=_list(_PORTS))),
    egress=_list(_object(to=_list(_PEERS), ports=_list(_PORTS))),
)
_METADATA = st.fixed_dictionaries(
    {
        "name": _mostly(
            st.sampled_from(["a", "a.b-c", "9", "x" * 253]), st.sampled_from(["A", "a_b", "-a", "x" * 254]) | _WRONG
        )
    },
    optional={
        "namespace": _mostly(st.sampled_from(["shop", "x" * 63]), st.sampled_from(["a.b", "A", "x" * 64]) | _WRONG),
        "labels": _mostly(st.dictionaries(_KEYS, _VALUES, max_size=2), _WRONG),
        "annotations": _mostly(st.dictionaries(_KEYS, st.text(max_size=3), max_size=2), _WRONG),
    },
)
_DOCUMENTS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("networking.k8s.io/v1"),
        "kind": st.just("NetworkPolicy"),
        "metadata": _METADATA,
        "spec": _mostly(_SPECS, _WRONG),
    }
)


@settings(max_examples=300, deadline=None)
@given(_DOCUMENTS)
def test_accepted_and_refused_are_the_same_documents(api_server: Oracle, document: Manifest) -> None:
    theirs = api_server.ask(document)
    try:
        (policy,) = read_policies([Document(("f.yaml", "document 1"), document)]).policies
    except InputError as error:
        ours, types = str(error).split("\n"), set()
    else:
        ours, types = [], set(policy.policy_types)
    assert bool(ours) is bool(theirs["errors"]), (ours, theirs["errors"])
    if not ours:
        assert types == set(theirs["policyTypes"])
