"""Failures of a mission, grouped by cause."""

from __future__ import annotations

from decimal import Decimal

from missions import failures
from missions.models import MissionItem
from providers.adapters.errors import Remedy


def test_failures_are_grouped_by_cause_the_most_frequent_first(mixed, django_assert_num_queries):
    with django_assert_num_queries(2):
        groups = failures.failure_groups(mixed)
    assert [(group.error_code, group.count, group.first_index) for group in groups] == [("1015", 2, 1), ("1003", 1, 3)]
    assert [group.message for group in groups] == ["It failed.", "Too fast."]


def test_a_group_says_whether_money_was_spent(mixed):
    MissionItem.objects.filter(mission=mixed, index=1).update(cost=Decimal("0.05"))
    paid, refused = failures.failure_groups(mixed)
    assert (paid.accepted_count, paid.cost) == (2, Decimal("0.05"))
    assert (refused.accepted_count, refused.cost) == (0, Decimal(0))


def test_a_group_has_the_price_of_one_more_try(mixed):
    paid, refused = failures.failure_groups(mixed)
    assert (paid.estimate, refused.estimate) == (Decimal("0.10"), Decimal("0.05"))
    mixed.estimated_cost = None
    assert failures.failure_groups(mixed)[0].estimate is None


def test_advice_fits_the_cause(mixed):
    assert failures.remedy_of(mixed, "1501") is Remedy.NONE
    assert failures.remedy_of(mixed, "1015") is Remedy.ONE_MORE_TRY
    assert failures.remedy_of(mixed, "http_503") is Remedy.TRY_LATER
    assert failures.remedy_of(mixed, "http_400") is Remedy.NONE
    assert failures.remedy_of(mixed, "not_prepared") is Remedy.NONE
    assert failures.remedy_of(mixed, "never heard of") is Remedy.ONE_MORE_TRY


def test_unconfirmed_items_come_with_the_attempt_in_doubt(mixed, django_assert_num_queries):
    with django_assert_num_queries(2):
        [(item, attempt)] = failures.unconfirmed_items(mixed, limit=5)
    assert (item.index, attempt.status) == (5, "unconfirmed")
