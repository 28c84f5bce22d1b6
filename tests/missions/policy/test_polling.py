"""Poll intervals of running tasks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from missions.policy.polling import (
    LATE_SPACING,
    MAX_INTERVAL_SECONDS,
    MIN_SAMPLES,
    UNKNOWN_SPACING,
    Duration,
    Expectation,
    learn,
    next_interval,
)

SPREAD = 1.16
durations = st.builds(
    lambda low, more: Duration(low, low + more), st.floats(0, 1e5, allow_nan=False), st.floats(0, 100)
)


def polls(takes: float, expectation: Expectation | None, floor: float) -> list[float]:
    """Return the seconds after the start at which a task of ``takes`` seconds is polled."""
    moments: list[float] = [0.0]
    while moments[-1] < takes:
        moments.append(moments[-1] + next_interval(moments[-1], expectation, floor=floor))
    return moments[1:]


@given(
    st.floats(0, 1e5),
    st.none() | st.builds(lambda first, more: Expectation(first, first + more), st.floats(0, 1e4), st.floats(0, 1e4)),
    st.floats(0.05, 10),
)
def test_interval_stays_between_floor_and_due_end(elapsed, expectation, floor):
    interval = next_interval(elapsed, expectation, floor=floor)
    assert interval >= floor * 0.85 - 1e-9
    silence = max((expectation.first if expectation else 0.0) - elapsed, 0.0) + floor
    assert interval <= max(MAX_INTERVAL_SECONDS * SPREAD, floor * SPREAD, silence + 1e-6)


@given(st.floats(10, 1e4), st.floats(0.05, 2))
def test_no_poll_before_the_expected_end(first, floor):
    assert next_interval(0.0, Expectation(first, first * 2), floor=floor) >= first
    assert next_interval(first / 2, Expectation(first, first * 2), floor=floor) >= first / 2


def test_webhooks_double_the_poll_interval():
    expectation = Expectation(40, 60)
    assert next_interval(0.0, expectation, floor=1.0, has_webhook=True) > 60
    assert next_interval(61.0, expectation, floor=1.0, has_webhook=True) >= 1
    for elapsed, prior, spacing in ((64.0, expectation, LATE_SPACING), (30.0, None, UNKNOWN_SPACING)):
        interval = next_interval(elapsed, prior, floor=1.0, has_webhook=True)
        assert interval >= elapsed * spacing * 2 * 0.84
        assert interval <= elapsed * spacing * 2 * SPREAD


def test_intervals_are_spread_to_avoid_bursts():
    intervals = {round(next_interval(30.0, None, floor=1.0), 6) for _ in range(200)}
    assert len(intervals) > 150
    assert min(intervals) < 3.24 < 3.96 < max(intervals)
    first = {round(next_interval(0.0, Expectation(40, 60), floor=1.0), 6) for _ in range(200)}
    assert len(first) > 150


@pytest.mark.parametrize("takes, most", [(2, 9), (10, 20), (60, 38), (600, 90)])
def test_unknown_model_is_polled_rarely(takes, most):
    assert len(polls(takes, None, 0.5)) <= most


@pytest.mark.parametrize("takes", [10.0, 60.0, 300.0])
def test_end_of_a_learned_model_is_seen_after_few_polls(takes):
    expectation = learn([Duration(takes * 0.97, takes * 1.01)] * 10)
    moments = polls(takes, expectation, 0.2)
    assert moments[-1] - takes <= takes * 0.035 + 0.3
    assert len(moments) <= 8


def test_late_task_is_polled_less_and_less():
    late = [next_interval(elapsed, Expectation(10, 12), floor=0.1) for elapsed in (11, 20, 100)]
    assert all(earlier < later for earlier, later in itertools.pairwise(late))


@given(st.lists(durations, max_size=60))
def test_expectation_lies_within_the_samples(samples):
    expectation = learn(samples)
    if len(samples) < MIN_SAMPLES:
        assert expectation is None
        return
    assert expectation is not None
    assert min(each.low for each in samples) * 0.9 <= expectation.first <= max(each.high for each in samples)
    assert expectation.first <= expectation.last <= max(each.high for each in samples)


def test_single_very_long_task_is_ignored():
    expectation = learn([Duration(9.5, 10.5)] * 39 + [Duration(500, 600)])
    assert expectation is not None
    assert expectation.first == pytest.approx(10)
    assert expectation.last == pytest.approx(10.5)
