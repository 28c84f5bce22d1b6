"""``/me``: what a caller may do, and what is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from billing.models import SpendingLimit
from missions.models import Mission
from tests.api_client import caller
from tests.factories import make_mission

pytestmark = pytest.mark.django_db


def limits(owner: User) -> dict[str, Any]:
    return caller(owner).get("/api/v1/me").json()["data"]["limits"]


def test_limits_without_any(owner, settings):
    shown = limits(owner)
    assert (shown["spending"], shown["spent"], shown["requests"]) == (None, [], None)
    assert shown["mission_max_items"] == settings.MISSION_MAX_ITEMS
    assert shown["upload_max_bytes"] == settings.MEDIA_MAX_BYTES
    assert shown["body_max_bytes"] == settings.API_MAX_BODY_BYTES


def test_spending_limit_and_what_is_left(owner, stranger, time_machine):
    time_machine.move_to(timezone.now().replace(day=15, hour=12))
    SpendingLimit.objects.create(user=owner, amount=Decimal(20), currency="CNY", period="month")
    for person, cost in ((owner, "3.50"), (owner, "1"), (stranger, "9")):
        mission = make_mission(person, 1)
        Mission.objects.filter(pk=mission.pk).update(cost=Decimal(cost), reserved_cost=Decimal("0.05"), currency="CNY")
    assert limits(owner)["spending"] == {
        "amount": "20.00",
        "currency": "CNY",
        "period": "month",
        "charged": "4.50",
        "expected": "0.10",
        "left": "15.40",
    }
    assert limits(owner)["spent"] == [{"currency": "CNY", "today": "4.50", "this_month": "4.50"}]
    SpendingLimit.objects.update(amount=Decimal(1))
    assert limits(owner)["spending"]["left"] == "0.00"
    Mission.objects.update(created_at=timezone.now().replace(day=14), ended_at=timezone.now().replace(day=14))
    assert limits(owner)["spent"] == [{"currency": "CNY", "today": "0.00", "this_month": "4.50"}]


def test_requests_and_slots(owner, account, settings):
    settings.API_REQUESTS_PER_MINUTE = 10
    client = caller(owner)
    answer = client.get("/api/v1/me")
    shown = answer.json()["data"]["limits"]
    assert (shown["requests"]["per_minute"], shown["requests"]["left"]) == (10, 9)
    assert answer["RateLimit-Remaining"] == "9"
    make_mission(owner, 3)
    slots = limits(owner)["slots"]
    assert (slots["own_pending"], slots["own_in_flight"], slots["in_flight"]) == (3, 0, 0)
    assert slots["limit"] > 0
