"""The sample shop as a dataset."""

from __future__ import annotations

import pytest

from netpol.capture.packets import Tally
from netpol.dataset.folder import Dataset
from netpol.dataset.merging import merged
from tests.edges.sameness import CAPTURES


@pytest.fixture(name="shop", scope="session")
def _shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The sample captures as windows of a minute: two nodes, IPv4 and IPv6, Services, masquerade, ICMP, DNS."""
    dataset = Dataset.create(tmp_path_factory.mktemp("shop") / "dataset")
    assert sum(merged(dataset, [CAPTURES], Tally(), version="1", at_once=9)) > 1
    return dataset
