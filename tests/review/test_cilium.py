"""Which keys Cilium keeps, by its documentation "Limiting Identity-Relevant Labels"."""

from __future__ import annotations

import pytest

from netpol.review.cilium import leaves_out


@pytest.mark.parametrize(
    "key",
    [
        "pod-template-hash",
        "pod-template-generation",
        "controller-revision-hash",
        "controller-uid",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/controller-uid",
        "kubernetes.io/cluster-service",
        "io.kubernetes.pod.uid",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/zone",
        "k8s.io/cluster-name",
        "annotation.io/x",
        "etcd_node",
        "topology.kubernetes.io/zone",
    ],
)
def test_left_out(key: str) -> None:
    assert leaves_out(key)


@pytest.mark.parametrize(
    "key",
    [
        "app",
        "k8s-app",
        "app.kubernetes.io/name",
        "app.kubernetes.io/instance",
        "io.kubernetes.pod.namespace",
        "my/pod-template-hash",
        "example.com/k8s.io",
    ],
)
def test_kept(key: str) -> None:
    assert not leaves_out(key)
