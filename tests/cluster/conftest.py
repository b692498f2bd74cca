from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netpol.cluster.manifests import load
from netpol.model.inventory import Inventory
from tests.cluster.control_plane import Cluster, control_plane

Objects = dict[str, Any]
LoadObjects = Callable[..., Inventory]


@pytest.fixture(name="load_looks")
def _load_looks(tmp_path: Path) -> LoadObjects:
    """Loads lists of objects, each list as one look at the cluster."""

    def load_looks(*looks: list[Objects]) -> Inventory:
        paths = []
        for number, objects in enumerate(looks):
            path = tmp_path / f"look-{number}.json"
            path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
            paths.append(path)
        return load(paths)

    return load_looks


@pytest.fixture(name="shared_apps", scope="session")
def _shared_apps() -> Path:
    """Third-party manifests that are not part of the repository."""
    folder = Path(__file__).parents[2] / ".." / "shared" / "data" / "apps"
    if not folder.is_dir():
        pytest.skip("the shared test data is not here")
    return folder


@pytest.fixture(name="control_plane", scope="session")
def _control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One API server for all tests that need a real one."""
    with control_plane(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
