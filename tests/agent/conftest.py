from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.control_plane import Cluster, control_plane


@pytest.fixture(name="control_plane", scope="module")
def _control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server with nothing in it."""
    with control_plane(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
