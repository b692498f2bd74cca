"""--since and --until: moments, spans before now, and what lies between them of every kind of capture."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from netpol.cli.times import moment
from netpol.dataset.folder import Dataset
from netpol.errors import UsageError
from tests.dataset.recordings import HOUR, START, connection, windows_of
from tests.flows.reference import SECOND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

NOW = 1_800_000_000 * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-27T12:00:00Z", int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()) * SECOND),
        ("2026-11-27T12:00:00+02:00", int(datetime(2026, 11, 27, 10, tzinfo=UTC).timestamp()) * SECOND),
        ("2026-11-27T12:00:00.000001", int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()) * SECOND + 1000),
        ("2026-11-27", int(datetime(2026, 11, 27, tzinfo=UTC).timestamp()) * SECOND),
        ("24h", NOW - 24 * HOUR),
        ("1d12h", NOW - 36 * HOUR),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert moment(text, "--since", NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "12", "2026-13-01", "24", "-1h", "\x1b[2J"])
def test_no_moments(text: str) -> None:
    with pytest.raises(UsageError, match="no moment"):
        moment(text, "--since", NOW)


def test_a_part_of_a_dataset(netpol: Netpol, tmp_path: Path) -> None:
    packets = [packet for number in range(9) for packet in connection(number, START + number * HOUR // 3)]
    Dataset.create(tmp_path / "d").append(windows_of(packets))
    begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=START // SECOND)
    words = ("--since", (begin + timedelta(hours=1)).isoformat(), "--until", (begin + timedelta(hours=2)).isoformat())
    (line,) = netpol("flows", tmp_path / "d", "-o", "json", *words).out.splitlines()
    assert json.loads(line)["connections"] == 3
    answer = netpol("flows", tmp_path / "d", "--since", "1h", "--until", "2h")
    assert (answer.code, "nothing lies between" in answer.err) == (2, True)


def test_a_part_of_captures(netpol: Netpol, shop: Path) -> None:
    whole = [json.loads(line) for line in netpol("flows", shop, "-o", "json").out.splitlines()]
    middle = sorted(each["first_seen"] for each in whole)[len(whole) // 2]
    parts = [
        [json.loads(line) for line in netpol("flows", shop, "-o", "json", option, middle).out.splitlines()]
        for option in ("--since", "--until")
    ]
    assert sum(each["packets"] for part in parts for each in part) == sum(each["packets"] for each in whole)
    assert min(each["first_seen"] for each in parts[0]) >= middle > max(each["last_seen"] for each in parts[1])
