"""The slot limit of accounts."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from providers import slots
from providers.models import ProviderAccount

NOW = timezone.now()


def limit_after(seconds: float, *, configured: int = 50, remote: int | None = None, soft: int | None = None) -> int:
    """Return the limit of an account, ``seconds`` after it was slowed down to ``soft``."""
    account = ProviderAccount(
        provider="runninghub",
        concurrency=configured,
        remote_concurrency=remote,
        soft_limit=soft,
        soft_limit_at=NOW - timedelta(seconds=seconds),
    )
    return slots.slot_limit(account, now=NOW)


@given(
    st.integers(0, 500),
    st.none() | st.integers(0, 500),
    st.none() | st.integers(1, 500),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_the_limit_is_never_exceeded_and_only_grows(configured, remote, soft, early, late):
    early, late = sorted((early, late))
    ceiling = configured if remote is None else min(configured, remote)
    limits = [limit_after(seconds, configured=configured, remote=remote, soft=soft) for seconds in (early, late)]
    assert 0 <= limits[0] <= limits[1] <= ceiling
    assert limit_after(0, configured=configured, remote=remote, soft=soft) == min(ceiling, soft or ceiling)


def test_a_slowed_account_recovers_within_half_a_minute():
    assert [limit_after(seconds, soft=1) for seconds in (0, 5, 10, 20, 30)] == [1, 2, 4, 16, 50]
    assert limit_after(-100, soft=3) == 3  # the clock was set back
