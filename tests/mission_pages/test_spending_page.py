"""Charges of a person's missions, by week and by model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.models import SpendingLimit
from mission_pages.spending import WEEKS, spending_by_week
from missions.maintenance import spend_rollup
from missions.models import Attempt
from tests.factories import bring_to, claim, make_mission

NOW = datetime(2026, 11, 26, 15, 20, tzinfo=UTC)  # a Thursday


@pytest.fixture
def charged(owner, stranger, account):
    """Charge two people in several weeks, of which the owner's is known."""
    ages = [(0, "1.00"), (3, "0.25"), (4, "2.00"), (8, "4.00"), (20, "8.00"), (400, "16.00")]  # days, amount
    for person, factor in ((owner, 1), (stranger, 100)):
        mission = make_mission(person, len(ages))
        for attempt_id, (days, amount) in zip(claim(mission, account, len(ages)), ages, strict=True):
            bring_to("succeeded", attempt_id)
            changes = {"ended_at": NOW - timedelta(days=days, minutes=1), "cost": Decimal(amount) * factor}
            Attempt.objects.filter(pk=attempt_id).update(**changes)
    return mission


@pytest.mark.postgresql
@pytest.mark.django_db
def test_charges_by_week(owner, charged):
    for counted in (False, True):
        if counted:
            spend_rollup.count(NOW)
        (entry,) = spending_by_week(owner.pk, now=NOW)
        costs = [week.cost for week in entry.weeks]
        assert (len(costs), costs[-1], costs[-2], costs[-3]) == (WEEKS, Decimal("1.25"), Decimal("6.00"), Decimal(0)), (
            counted
        )
        assert (entry.total, entry.currency) == (Decimal("15.25"), "CNY")
        assert [(this, recent) for _model, this, recent in entry.models] == [(Decimal("1.25"), Decimal("15.25"))]


@pytest.mark.django_db
def test_page(web, owner, charged, time_machine):
    time_machine.move_to(NOW)
    SpendingLimit.objects.create(user=owner, amount=Decimal(340), currency="CNY", period="ever")
    page = web.get("/spending").content.decode()
    assert "¥15.25 in 4 weeks" in page
    assert "¥340.00" in page
    assert "¥1,525" not in page  # the stranger's


@pytest.mark.django_db
def test_page_before_anything_was_spent(web):
    assert "Nothing spent yet" in web.get("/spending").content.decode()


@pytest.mark.django_db
def test_form_shows_what_is_left(web, owner):
    SpendingLimit.objects.create(user=owner, amount=Decimal("0.12"), currency="CNY", period="month")
    form = {"task_type": "text_to_image", "source": "prompts", "param-aspectRatio": "1:1"}
    page = web.post("/missions/new", form | {"prompts": "a cat", "action": "check"}).content.decode()
    assert "¥0.12 of your ¥0.12 left this month." in page
