"""Tokens as a real API server knows them, where kube-apiserver, etcd and openssl are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from netpol.cluster.access import Connection, connect
from netpol.cluster.rights import TOKEN_REVIEWS
from netpol.cluster.token_review import Refused, Reviewed, TokenReviewer, review
from netpol.errors import ClusterError
from tests.cluster.watching import wait_until

if TYPE_CHECKING:
    from tests.cluster.control_plane import Cluster

HUB = ("netpol-hub",)


@pytest.fixture(name="cluster", scope="module")
def _cluster(control_plane: Cluster) -> Iterator[Cluster]:
    control_plane.call("/api/v1/namespaces", {"metadata": {"name": "netpol"}})
    control_plane.call("/api/v1/namespaces/netpol/serviceaccounts", {"metadata": {"name": "agent"}})
    control_plane.call("/api/v1/nodes", {"metadata": {"name": "review-w1"}})
    control_plane.allow("reviewer", [TOKEN_REVIEWS])
    yield control_plane
    control_plane.call("/api/v1/nodes/review-w1", method="DELETE")


@pytest.fixture(name="pod")
def _pod(cluster: Cluster) -> Iterator[Any]:
    spec = {"containers": [{"name": "c", "image": "x"}], "nodeName": "review-w1", "serviceAccountName": "agent"}
    made = cluster.call("/api/v1/namespaces/netpol/pods", {"metadata": {"generateName": "agent-"}, "spec": spec})
    yield made
    delete(cluster, made)


def delete(cluster: Cluster, pod: Any) -> None:
    path = f"/api/v1/namespaces/netpol/pods/{pod['metadata']['name']}"
    if any(one["metadata"]["uid"] == pod["metadata"]["uid"] for one in pods(cluster)):
        cluster.call(f"{path}?gracePeriodSeconds=0", method="DELETE")


def pods(cluster: Cluster) -> list[Any]:
    items: list[Any] = cluster.call("/api/v1/namespaces/netpol/pods", method="GET")["items"]
    return items


@pytest.fixture(name="hub")
def _hub(cluster: Cluster) -> Connection:
    """The hub's own way to the API server: it may review tokens, and nothing else."""
    return connect(None, cluster.kubeconfig("reviewer"))


def test_a_projected_token_names_its_account_its_pod_and_its_node(cluster: Cluster, pod: Any, hub: Connection) -> None:
    found = review(hub, cluster.token("netpol", "agent", [*HUB], pod=pod), HUB)
    assert isinstance(found, Reviewed)
    assert found.user == "system:serviceaccount:netpol:agent"
    assert found.account == ("netpol", "agent")
    assert (found.pod, found.pod_uid) == (pod["metadata"]["name"], pod["metadata"]["uid"])
    assert found.node == "review-w1"
    assert found.audiences == HUB
    assert "system:serviceaccounts:netpol" in found.groups


@pytest.mark.parametrize("audiences", [["https://netpol.test"], ["other"]])
def test_a_token_that_is_meant_for_somebody_else(cluster: Cluster, pod: Any, hub: Connection, audiences: Any) -> None:
    found = review(hub, cluster.token("netpol", "agent", audiences, pod=pod), HUB)
    assert isinstance(found, Refused)
    assert found.reason


def test_a_token_of_a_pod_that_is_gone(cluster: Cluster, pod: Any, hub: Connection) -> None:
    token = cluster.token("netpol", "agent", [*HUB], pod=pod)
    now = [1_000.0]
    reviewer = TokenReviewer(hub, HUB, lambda: now[0])
    assert isinstance(reviewer.review(token), Reviewed)
    delete(cluster, pod)
    assert isinstance(reviewer.review(token), Reviewed)  # as known for a minute at most

    def refused() -> bool:
        now[0] += 61
        return isinstance(reviewer.review(token), Refused)

    wait_until(refused, "the API server has a memory of its own, of ten seconds")


def test_forged_tokens(cluster: Cluster, pod: Any, hub: Connection) -> None:
    token = cluster.token("netpol", "agent", [*HUB], pod=pod)
    head, payload, signature = token.split(".")
    other = cluster.token("netpol", "agent", ["other"], pod=pod).split(".")
    for forged in (f"{head}.{payload}.", f"{head}.{other[1]}.{signature}", f"{head}.{payload}.{signature[::-1]}", "x"):
        assert isinstance(review(hub, forged, HUB), Refused)


def test_static_users_are_nobody_s_agents(hub: Connection) -> None:
    """A token file's tokens are meant for the API server itself, whoever asks for what audience."""
    found = review(hub, "admin", HUB)
    assert isinstance(found, Refused), found


def test_without_the_right(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="may not create tokenreviews"):
        review(connect(None, cluster.kubeconfig("guest")), "x", HUB)
