"""Waits before retries, and their limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from missions.policy import retry
from providers.adapters.errors import Remedy

SPREAD = 0.15


def near(seconds: float) -> object:
    return pytest.approx(seconds, rel=SPREAD + 0.001)


def test_a_refusal_is_tried_again_five_times_and_no_more():
    waits = [retry.after_refusal(number) for number in range(1, 8)]
    assert [wait is not None for wait in waits] == [True] * 5 + [False] * 2


@pytest.mark.parametrize("number, seconds", [(1, 3), (2, 4.5), (3, 6.75), (4, 10.125), (5, 15.1875)])
def test_each_refusal_waits_longer_than_the_one_before(number, seconds):
    assert retry.after_refusal(number) == near(seconds)


def test_longer_wait_of_the_provider_is_respected():
    assert retry.after_refusal(1, provider_wait=60) == near(60)
    assert retry.after_refusal(1, provider_wait=0.1) == near(3)


def test_a_missing_slot_is_looked_for_again_soon():
    assert retry.after_no_slot() == near(2)


@pytest.mark.parametrize(
    "remedy, attempts, limit, is_retried",
    [
        (Remedy.NONE, 1, 5, False),
        (Remedy.TRY_LATER, 1, 1, False),
        (Remedy.TRY_LATER, 1, 2, True),
        (Remedy.TRY_LATER, 2, 2, False),
        (Remedy.TRY_LATER, 4, 5, True),
        (Remedy.ONE_MORE_TRY, 1, 5, True),
        (Remedy.ONE_MORE_TRY, 2, 5, False),
        (Remedy.ONE_MORE_TRY, 1, 1, False),
    ],
)
def test_retry_depends_on_remedy_and_attempts(remedy, attempts, limit, is_retried):
    wait = retry.after_failure(remedy, attempts=attempts, limit=limit)
    assert (wait is not None) == is_retried


@given(st.sampled_from(Remedy), st.integers(1, 1000), st.integers(1, 1000))
def test_no_remedy_goes_beyond_the_limit_or_waits_beyond_the_cap(remedy, attempts, limit):
    wait = retry.after_failure(remedy, attempts=attempts, limit=limit)
    if attempts >= limit:
        assert wait is None
    elif wait is not None:
        assert 0 < wait <= retry.BACKOFF_CAP_SECONDS * (1 + SPREAD)


@given(st.integers(1, 10_000))
def test_a_download_waits_longer_each_time_up_to_a_cap(tries):
    wait = retry.after_failed_download(tries)
    assert min(2.0 ** min(tries, 20), 300) * (1 - SPREAD) <= wait <= 300 * (1 + SPREAD)
