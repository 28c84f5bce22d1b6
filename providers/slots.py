"""Slots of provider accounts: the limit, and how many are in use.

The app that owns the attempts registers which of its rows hold a slot.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from providers.models import ProviderAccount

RECOVERY_SECONDS = 5.0

_in_flight = Q(pk__in=[])


def register_in_flight(condition: Q) -> None:
    """Set the condition for an account's ``attempts`` that hold a slot."""
    global _in_flight
    _in_flight = condition


def with_in_flight(accounts: QuerySet[ProviderAccount]) -> QuerySet[ProviderAccount]:
    """Annotate accounts with ``in_flight``, the tasks that hold a slot."""
    attempts = ProviderAccount._meta.get_field("attempts").related_model._default_manager
    live = attempts.filter(_in_flight, account=OuterRef("pk")).order_by()
    count = Subquery(live.values("account").annotate(count=Count("pk")).values("count"), IntegerField())
    return accounts.annotate(in_flight=Coalesce(count, 0))


def slot_limit(account: ProviderAccount, *, now: datetime) -> int:
    """Return how many tasks an account may have in flight now.

    The smaller of our limit and the provider's. After a refusal because no slot was free,
    ``soft_limit`` is the number of tasks that were running then. From there the limit grows again,
    by one at first, then faster, so that a busy provider gets few submits and a free one is full
    within half a minute.
    """
    limit = account.configured_concurrency
    if account.remote_concurrency is not None:
        limit = min(limit, account.remote_concurrency)
    if account.soft_limit is None:
        return limit
    seconds = (now - account.soft_limit_at).total_seconds() if account.soft_limit_at else 0.0
    steps = min(int(max(seconds, 0.0) / RECOVERY_SECONDS), 20)
    return min(limit, account.soft_limit + (1 << steps) - 1)
