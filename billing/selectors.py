"""The amount that a person may still spend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.budget import Budget
from billing.models import SpendingLimit


@dataclass(frozen=True, slots=True)
class Spending:
    """A person's spending in one currency.

    ``charged``    what providers have charged
    ``expected``   the price of everything that may still be charged
    ``in_flight``  tasks that may turn out cheaper than expected
    """

    charged: Decimal
    expected: Decimal
    in_flight: int


# Reads a user's spending in a currency since a time (None: since ever).
SpendingSource = Callable[[int, str, datetime | None], Spending]
_sources: list[SpendingSource] = []


def register_source(source: SpendingSource) -> None:
    """Let spending of another kind count against the limits. Apps call this when they are ready."""
    if source not in _sources:
        _sources.append(source)


def budget_of(limit: SpendingLimit, *, now: datetime) -> Budget:
    """Return what a person's limit leaves in its current period.

    Money is spent against it only while the limit's row is locked.
    """
    since = limit.since(now)
    spendings = [source(limit.user_id, limit.currency, since) for source in _sources]
    return Budget(
        limit.amount,
        charged=sum((spending.charged for spending in spendings), Decimal(0)),
        expected=sum((spending.expected for spending in spendings), Decimal(0)),
        in_flight=sum(spending.in_flight for spending in spendings),
        currency=limit.currency,
        is_owners=True,
    )
