"""Files that somebody else wrote: nothing is added up of them in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpol.dataset import layout
from netpol.dataset.account import NO_FLOWS
from netpol.dataset.captures import Span
from netpol.dataset.folder import Dataset
from netpol.edges.duck import Duck
from netpol.edges.run import flow_table
from netpol.errors import InputError
from tests.dataset.recordings import HOUR, START
from tests.dataset.test_hostile import WINDOWS, changed

if TYPE_CHECKING:
    from pathlib import Path

CHANGES = [
    "* REPLACE (5::UTINYINT AS family)",
    "* REPLACE (-1::BIGINT AS packets)",
    "* REPLACE (9::UTINYINT AS side)",
    "* REPLACE (2::UTINYINT AS side)",
    "* REPLACE (NULL::UBIGINT AS low)",
    "* REPLACE (18446744073709551615::UBIGINT AS low)",
    "* REPLACE (9::UBIGINT AS high_high)",
    "* REPLACE (high AS low, low AS high)",
    "* REPLACE (first - 1 AS last)",
    "* REPLACE (-5::BIGINT AS first)",
    "* REPLACE (1125899906842625::BIGINT AS bytes)",
    "* REPLACE ('x' AS packets)",
    "* EXCLUDE (packets)",
]


@pytest.mark.parametrize("change", CHANGES)
def test_records_that_break_their_promises(tmp_path: Path, change: str) -> None:
    dataset = Dataset.create(tmp_path)
    dataset.append(WINDOWS)
    changed(tmp_path, layout.CONNECTIONS, change)
    with pytest.raises(InputError):
        flow_table([Dataset.open(tmp_path)], Span(), None, Duck())


def rolled(folder: Path, change: str) -> Dataset:
    """A dataset of one added up hour, of which something was changed."""
    dataset = Dataset.create(folder)
    dataset.append(WINDOWS)
    dataset.roll_up(START // HOUR)
    changed(folder, layout.FLOWS, change)
    return Dataset.open(folder)


@pytest.mark.parametrize(
    "change",
    [
        "* REPLACE ('fd00::1' AS server)",
        "* REPLACE (NULL::USMALLINT AS port)",
        "* REPLACE (-1::BIGINT AS packets)",
        "* REPLACE (9223372036854775807 AS bytes)",
        "* REPLACE (make_timestamp(0) AS last_seen)",
        "* REPLACE ('much' AS bytes)",
    ],
)
def test_flows_that_break_their_promises(tmp_path: Path, change: str) -> None:
    with pytest.raises(InputError):
        flow_table([rolled(tmp_path, change)], Span(), None, Duck())


@pytest.mark.parametrize(
    "change",
    [
        "* REPLACE ('nobody' AS client)",
        "* REPLACE ('perhaps' AS outcome)",
        "* REPLACE ('god' AS direction)",
    ],
)
def test_flows_with_words_that_are_none_are_counted(tmp_path: Path, change: str) -> None:
    table = flow_table([rolled(tmp_path, change)], Span(), None, Duck())
    assert len(table) == 0
    assert table.notes == {NO_FLOWS: 1}
