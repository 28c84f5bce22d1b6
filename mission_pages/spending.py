"""``/spending``: charges of a person's missions, by week and by model."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from missions import selectors
from missions.maintenance.spend_rollup import spend_since
from providers import catalog

WEEKS = 4  # the sums of spend_rollup reach back 32 days
WEEK = timedelta(weeks=1)


@dataclass(slots=True)
class Week:
    """The charges of one week, which begins on a Monday in the reader's time zone."""

    start: datetime
    cost: Decimal = Decimal(0)


@dataclass(slots=True)
class CurrencySpending:
    """A person's charges in one currency. ``models`` are (model, this week, all weeks)."""

    currency: str
    weeks: list[Week]
    models: list[tuple[str, Decimal, Decimal]] = field(default_factory=list)
    unreported_count: int = 0

    @property
    def total(self) -> Decimal:
        return sum((week.cost for week in self.weeks), Decimal(0))

    @property
    def highest(self) -> Decimal:
        return max(week.cost for week in self.weeks)


@require_safe
@login_required
def show_spending(request: HttpRequest) -> HttpResponse:
    """Show the charges of the signed-in person's missions in the latest weeks, and their limit."""
    user = cast(User, request.user)
    now = timezone.now()
    context = {
        "currencies": spending_by_week(user.pk, now=now),
        "allowance": selectors.budget_left(user.pk, now=now),
        "weeks": WEEKS,
    }
    return render(request, "mission_pages/spending.html", context)


def spending_by_week(user_id: int, *, now: datetime) -> list[CurrencySpending]:
    """Return a person's charges of the latest weeks, by currency, the present week last.

    Charges belong to the week in which the attempt ended. The sums are those of the control room.
    """
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    starts = [monday - WEEK * back for back in range(WEEKS - 1, -1, -1)]
    names = {f"w{place}": start for place, start in enumerate(starts)}
    found: dict[str, CurrencySpending] = {}
    for spend in spend_since(names, now=now, owner_id=user_id):
        entry = found.setdefault(spend.currency, CurrencySpending(spend.currency, [Week(start) for start in starts]))
        amounts = [spend.amounts[name] for name in names]  # each since the start of its week
        for place, week in enumerate(entry.weeks):
            week.cost += amounts[place] - (amounts[place + 1] if place + 1 < WEEKS else 0)
        if amounts[0]:
            entry.models.append((_model_label(spend.model, user_id), amounts[-1], amounts[0]))
        entry.unreported_count += spend.unreported_counts["w0"]
    for entry in found.values():
        entry.models.sort(key=lambda row: -row[2])
    return [entry for entry in found.values() if entry.total or entry.unreported_count]


def _model_label(name: str, user_id: int) -> str:
    """Return a model's name for people, or its endpoint if it was removed or several have it."""
    try:
        return catalog.get_model(name, owner_id=user_id).label
    except catalog.UnknownModel:
        return name
