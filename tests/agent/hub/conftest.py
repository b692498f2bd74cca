"""A hub that the tests of a module share, where none of them stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent.hub import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agent.hub.processes import Hub


@pytest.fixture(name="hub", scope="module")
def _hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with processes.hub(tmp_path_factory.mktemp("hub") / "data") as running:
        yield running
