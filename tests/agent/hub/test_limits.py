"""Buckets and budgets by their laws."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpol.agent.hub.limits import Buckets, Budget
from netpol.agent.hub.refusals import RefusedError


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine proves nothing
@given(st.lists(st.integers(0, 3000), max_size=40), st.integers(1, 50), st.integers(1, 9))
def test_a_bucket_gives_no_more_than_it_had_and_got(pauses: list[int], tenths: int, burst: int) -> None:
    now, rate = 0.0, tenths / 10
    buckets = Buckets(rate, burst, lambda: now)
    taken = 0
    for pause in pauses:
        now += pause / 1000
        wait = buckets.take("node")
        taken += not wait
        assert taken <= burst + now * rate + 1e-6
        if wait:
            now += wait + 1e-6
            assert buckets.take("node") == 0
            taken += 1


def test_nodes_do_not_share_a_bucket_and_idle_ones_are_forgotten() -> None:
    buckets = Buckets(1, 1, lambda: 0.0)
    assert buckets.take("a") == 0
    assert buckets.take("a") == 1
    assert buckets.is_empty("a")
    assert buckets.take("b") == 0
    for number in range(Buckets.MOST):
        buckets.take(number)
    assert len(buckets._levels) == Buckets.MOST


def test_a_budget_is_given_back() -> None:
    budget = Budget(10, "too much", "much")
    with budget.held(6):
        with pytest.raises(RefusedError, match="too much"), budget.held(5):
            pass
        with budget.held(4):
            assert budget.used == 10
    assert budget.used == 0
