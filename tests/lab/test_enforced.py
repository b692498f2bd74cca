"""The kernel as the judge: under the learned policies the shop works as ever, and the intruder gets nothing."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.lab.conftest import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab.conftest import Shop

pytestmark = pytest.mark.namespaces


def test_the_shop_works_and_the_scan_does_not(shipped: Shop, learned: Path, play_under: Callable[[Path], Shop]) -> None:
    enforced = play_under(learned)
    assert facts(enforced.truth, "shop", "own-node", "probe") == facts(shipped.truth, "shop", "own-node", "probe")
    got_through = {
        fact for fact in facts(enforced.truth, "scan", "noise", "failure") if fact[-1] not in {"refused", "unanswered"}
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
