"""``manage.py recount``: the counts of a mission equal those of its items."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from pytest_django import DjangoAssertNumQueries

from missions import services
from missions.maintenance import reconcile_counts
from missions.models import Mission, MissionItem

pytestmark = pytest.mark.postgresql


def mission(owner: User, *, items: int = 3) -> Mission:
    return services.submit_mission(owner=owner, name="m", task_type="text_to_image", rows=["a fox"] * items)


def recount(**options: bool) -> str:
    out = io.StringIO()
    call_command("recount", stdout=out, **options)
    return out.getvalue()


def spoil(mission: Mission) -> None:
    """Make counts wrong that still add up, as the database requires."""
    Mission.objects.filter(pk=mission.pk).update(
        pending_count=F("pending_count") - 1, failed_count=1, cost=Decimal("7.5")
    )


def test_correct_counts_pass_the_check(owner: User) -> None:
    mission(owner)
    Mission.objects.create(owner=owner, name="empty", task_type="text_to_image", model="a/b")

    assert "2 missions checked: every count and cost matches." in recount(check=True)


def test_check_finds_differences_and_changes_nothing(owner: User) -> None:
    wrong = mission(owner)
    spoil(wrong)

    with pytest.raises(SystemExit) as raised:
        recount(check=True)

    assert raised.value.code == 1
    wrong.refresh_from_db()
    assert (wrong.pending_count, wrong.failed_count, wrong.cost) == (2, 1, Decimal("7.5"))
    assert {difference.name for difference in reconcile_counts.differences()} == {
        "pending_count",
        "failed_count",
        "cost",
    }


def test_without_check_counts_are_corrected(owner: User) -> None:
    wrong, right = mission(owner), mission(owner, items=5)
    spoil(wrong)
    MissionItem.objects.filter(mission=wrong, index=1).update(cost=Decimal("0.05"))

    assert "3 numbers corrected" in recount()

    wrong.refresh_from_db()
    assert (wrong.total_count, wrong.pending_count, wrong.failed_count, wrong.cost) == (3, 3, 0, Decimal("0.05"))
    right.refresh_from_db()
    assert right.pending_count == 5
    assert "every count and cost matches" in recount(check=True)


def test_many_missions_take_one_statement(owner: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(5):
        mission(owner)

    with django_assert_num_queries(1):
        assert len(list(reconcile_counts.compared_counts())) == 5
