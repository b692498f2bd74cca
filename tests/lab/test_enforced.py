"""The kernel as the judge: under the learned policies the shop works as ever, and the intruder gets nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab.conftest import Shop

pytestmark = pytest.mark.namespaces


def _facts(shop: Shop, *purposes: str) -> set[tuple[Any, ...]]:
    names = ("source", "destination", "protocol", "port", "outcome")
    return {tuple(row[name] for name in names) for row in shop.truth if row["purpose"] in purposes}


@pytest.fixture
def learned(shipped: Shop, tmp_path: Path) -> Path:
    """What netpol learns from the shipped captures."""
    folder = tmp_path / "learned"
    cluster = str(shipped.samples / "cluster.yaml")
    command = [sys.executable, "-m", "netpol", "learn", str(shipped.captures), "--cluster", cluster, "-d", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_shop_works_and_the_scan_does_not(shipped: Shop, learned: Path, play_under: Callable[[Path], Shop]) -> None:
    enforced = play_under(learned)
    assert _facts(enforced, "shop", "own-node", "probe") == _facts(shipped, "shop", "own-node", "probe")
    got_through = {
        fact for fact in _facts(enforced, "scan", "noise", "failure") if fact[-1] not in {"refused", "unanswered"}
    }
    # The front end's way to the API is its own: a scan of that very port looks like nothing else.
    assert got_through == {("shop/web[Deployment]", "shop/api[Deployment]", "TCP", 3000, "established")}


def test_a_missing_rule_breaks_the_shop(shipped: Shop, play_under: Callable[[Path], Shop], tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(shipped.samples / "expected", policies)
    path = policies / "shop" / "web.yaml"
    policy = yaml.safe_load(path.read_text())
    policy["spec"]["egress"] = policy["spec"]["egress"][1:]
    path.write_text(yaml.safe_dump(policy))
    with pytest.raises(subprocess.CalledProcessError) as failure:
        play_under(policies)
    assert "the shop answered" in failure.value.stderr
