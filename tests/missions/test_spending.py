"""Spending limits: of a mission, and of a person over all their missions."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.budget import Budget
from billing.models import Period, SpendingLimit
from billing.selectors import budget_of
from core.errors import NotPossible
from missions import execution, lifecycle, services
from missions.maintenance import reconcile_counts
from missions.models import Attempt, Mission, RemovedSpending
from missions.policy import charges
from missions.services import LimitReached, MissionInvalid, purge
from providers.models import ProviderAccount
from tests.factories import (
    accept,
    at_once,
    begin,
    bring_to,
    check_mission,
    claim,
    fail,
    lose_answer,
    make_mission,
    succeed,
)

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

PRICE = Decimal("0.05")  # of the model that make_mission uses


@pytest.fixture(autouse=True)
def _prices_are_trusted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold no item back until a charge is known, except in the tests of that."""
    if "probing" not in request.fixturenames:
        monkeypatch.setattr(charges, "PROBE_ITEMS", 1000)


@pytest.fixture
def probing() -> None:
    """Hold items back until a charge is known."""


def limit_owner(owner: User, amount: str, period: Period = Period.EVER) -> SpendingLimit:
    return SpendingLimit.objects.create(user=owner, amount=Decimal(amount), period=period)


def left_of(limit: SpendingLimit) -> Decimal:
    return budget_of(limit, now=timezone.now()).left


def reason_of(mission: Mission) -> str:
    mission.refresh_from_db()
    event = mission.events.filter(item=None).last()
    assert (mission.status, event.to_status, event.actor) == ("paused", "paused", "engine")
    assert event.reason == mission.pause_reason
    return mission.pause_reason


# --- A mission's own limit ---


def test_tasks_in_flight_count_with_their_expected_cost(owner, account):
    mission = make_mission(owner, 20, spending_limit=Decimal("0.32"))
    assert [execution.dispatch(account.pk) for _ in range(2)] == [6, 0]
    mission.refresh_from_db()
    assert (mission.status, mission.reserved_cost) == (
        "running",
        6 * PRICE,
    )  # what is in flight may yet turn out cheaper
    check_mission(mission.pk)


def test_uncharged_money_is_freed_until_the_limit_pauses(owner, account):
    mission = make_mission(owner, 20, spending_limit=Decimal("0.10"))
    execution.dispatch(account.pk)
    first, second = Attempt.objects.values_list("pk", flat=True)
    bring_to("running", first)
    bring_to("running", second)
    fail(first, cost=None)
    assert execution.dispatch(account.pk) == 1
    [third] = Attempt.objects.filter(status="prepared").values_list("pk", flat=True)
    bring_to("running", third)
    succeed(second, cost="0.04")
    succeed(third, cost="0.06")
    assert execution.dispatch(account.pk) == 0
    reason = reason_of(mission)
    assert "limit of ¥0.10 is reached; nothing more is sent. Charged: ¥0.10. Still running: up to ¥0.00." in reason
    assert "raise the limit" in reason
    check_mission(mission.pk)


@pytest.mark.parametrize("open_end", [lose_answer, lambda pk: accept(pk) and succeed(pk, cost=None)])
def test_possible_charges_stay_reserved(open_end, owner, account):
    mission = make_mission(owner, 3, spending_limit=PRICE)
    [attempt_id] = claim(mission, account)
    bring_to("sending", attempt_id)
    open_end(attempt_id)
    assert execution.dispatch(account.pk) == 0
    assert "Charged: ¥0.00. Still running: up to ¥0.05." in reason_of(mission)


def test_raised_limit_lets_the_mission_go_on(owner, account):
    mission = make_mission(owner, 3, spending_limit=PRICE)
    bring_to("succeeded", claim(mission, account)[0])
    execution.dispatch(account.pk)
    assert reason_of(mission)
    services.change_mission(mission_id=mission.pk, spending_limit=None)
    services.resume_mission(mission_id=mission.pk, actor="user:1")
    assert execution.dispatch(account.pk) == 2


def test_resume_at_a_limit_says_what_it_needs(owner, account):
    mission = make_mission(owner, 3, spending_limit=PRICE)
    bring_to("succeeded", claim(mission, account)[0])
    execution.dispatch(account.pk)
    for limit, error in ((None, LimitReached), (Decimal("0.07"), LimitReached), (Decimal(0), MissionInvalid)):
        with pytest.raises(error) as caught:
            services.resume_mission(mission_id=mission.pk, actor="user:1", spending_limit=limit)
        if error is LimitReached:
            assert caught.value.error == "limit_reached"
            assert "at least ¥0.10; ¥0.15 covers everything that is left" in str(caught.value)
        mission.refresh_from_db()
        assert (mission.status, mission.spending_limit) == ("paused", PRICE)
    services.resume_mission(mission_id=mission.pk, actor="user:1", spending_limit=Decimal("0.15"))
    assert execution.dispatch(account.pk) == 2


def test_resume_at_the_owners_limit_is_refused(owner, account):
    limit = limit_owner(owner, "0.20")
    mission = make_mission(owner, 3)
    limit.amount = PRICE
    limit.save()
    bring_to("succeeded", claim(mission, account, 1)[0])
    execution.dispatch(account.pk)
    with pytest.raises(NotPossible, match="Ask an operator to raise the limit"):
        services.resume_mission(mission_id=mission.pk, actor="user:1")
    mission.refresh_from_db()
    assert mission.status == "paused"
    limit.delete()
    services.resume_mission(mission_id=mission.pk, actor="user:1")
    assert execution.dispatch(account.pk) == 2


def test_mission_at_its_limit_takes_no_slot_from_others(owner, account):
    account.concurrency = 4
    account.save()
    waiting = make_mission(owner, 9, name="waits", priority=9, spending_limit=PRICE)
    claim(waiting, account)
    make_mission(owner, 9, name="other")
    assert execution.dispatch(account.pk) == 3


def test_limit_that_cannot_be_kept_is_refused(owner):
    free_form = {"model": "some/endpoint", "allow_free_form": True}
    for more in ({"spending_limit": Decimal(0)}, {"spending_limit": Decimal(1), **free_form}):
        with pytest.raises(MissionInvalid) as invalid:
            make_mission(owner, 1, **more)
        assert [error.field for error in invalid.value.errors] == ["spending_limit"]
    assert not Mission.objects.exists()


def test_an_item_of_unknown_price_is_not_sent_under_a_limit(owner, account):
    mission = make_mission(owner, 1, model="some/endpoint", allow_free_form=True)
    limit_owner(owner, "10")
    assert execution.dispatch(account.pk) == 0
    assert "price of the next item is unknown" in reason_of(mission)


# --- A person's limit ---


def test_owner_limit_covers_all_their_missions(owner, stranger, account):
    for name in ("one", "two"):
        make_mission(owner, 9, name=name)
    make_mission(stranger, 3, name="free")
    limit_owner(owner, "0.22")
    assert execution.dispatch(account.pk) == 4 + 3
    for attempt_id in Attempt.objects.values_list("pk", flat=True):
        bring_to("succeeded", attempt_id)
    assert execution.dispatch(account.pk) == 0
    for mission in Mission.objects.filter(owner=owner):
        assert "owner's spending limit" in reason_of(mission)


def test_mission_above_the_owners_limit_is_refused(owner, account):
    limit_owner(owner, "0.20", Period.MONTH)
    bring_to("succeeded", claim(make_mission(owner, 1), account)[0])
    with pytest.raises(MissionInvalid, match=r"about ¥0.20, and ¥0.15 is left of your spending limit of ¥0.20 per cal"):
        make_mission(owner, 4)
    assert make_mission(owner, 3)


def test_only_what_was_charged_in_the_period_counts(owner, account):
    limit = limit_owner(owner, "1", Period.DAY)
    mission = make_mission(owner, 4)
    attempts = claim(mission, account, 3)
    for attempt_id in attempts:
        bring_to("succeeded", attempt_id)
    Attempt.objects.filter(pk=attempts[0]).update(ended_at=timezone.now() - timedelta(days=2))
    assert left_of(limit) == 1 - 3 * PRICE  # a mission created today has no charges of earlier days
    Mission.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert left_of(limit) == 1 - 2 * PRICE
    limit.period = Period.EVER
    assert left_of(limit) == 1 - 3 * PRICE


def test_deleting_a_mission_restores_no_limit(owner, account):
    limit = limit_owner(owner, "1", Period.DAY)
    mission = make_mission(owner, 3)
    paid, doubtful = claim(mission, account, 2)
    bring_to("succeeded", paid)
    bring_to("unconfirmed", doubtful)
    before = left_of(limit)
    assert services.delete_mission(mission_id=mission.pk, actor="user:1").is_removed
    assert left_of(limit) == before == 1 - 2 * PRICE
    RemovedSpending.objects.update(day=timezone.now() - timedelta(days=2))
    assert left_of(limit) == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_purges_keep_the_spending_once(owner, account):
    limit = limit_owner(owner, "1000", Period.DAY)
    mission = make_mission(owner, purge.BATCH + 2)
    paid, doubtful, *unsent = claim(mission, account, purge.BATCH + 2)
    last = unsent.pop()
    for status, attempt_id in (("succeeded", paid), ("unconfirmed", doubtful), ("succeeded", last)):
        bring_to(status, attempt_id)
    lifecycle.request_deletion(mission.pk, actor="user:1")
    assert left_of(limit) == 1000 - 3 * PRICE
    removed = at_once(*[lambda: purge.purge_mission(mission.pk)] * 2)
    assert True in removed
    assert not Mission.objects.exists()
    assert left_of(limit) == 1000 - 3 * PRICE


def test_claims_without_limits_cost_no_statement_more(owner, account):
    def statements() -> int:
        make_mission(owner, 1)
        with CaptureQueriesContext(connection) as captured:
            assert execution.dispatch(account.pk) == 1
        assert not any("removedspending" in query["sql"] for query in captured)
        return len(captured)

    bring_to("succeeded", claim(make_mission(owner, 1), account)[0])  # the model's charges are known
    statements()  # and read
    plain = statements()
    Mission.objects.update(spending_limit=1)
    assert statements() == plain


def test_recount_corrects_reserved_cost(owner, account):
    mission = make_mission(owner, 3)
    claim(mission, account, 2)
    Mission.objects.update(reserved_cost=7)
    assert {difference.name for difference in reconcile_counts.differences()} == {"reserved_cost"}
    reconcile_counts.correct(mission.pk)
    check_mission(mission.pk)


@pytest.mark.django_db(transaction=True)
def test_concurrent_claims_stay_within_the_owners_limit(owner, account):
    other = ProviderAccount.objects.create(name="other")
    for number in range(4):
        make_mission(owner, 9, name=str(number))
    limit_owner(owner, "0.32")
    start = threading.Barrier(2)

    def claim_items(account_id: int) -> None:
        start.wait(timeout=60)
        try:
            execution.dispatch(account_id)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim_items, args=(pk,)) for pk in (account.pk, other.pk)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert Attempt.objects.count() == 6


def test_limit_in_another_currency_refuses_paid_models(owner, account):
    limit = limit_owner(owner, "10")
    mission = make_mission(owner, 2)
    limit.currency = "USD"
    limit.save()
    assert left_of(limit) == 10
    assert execution.dispatch(account.pk) == 0
    assert reason_of(mission).startswith("The spending limit of the mission's owner is in USD")
    with pytest.raises(MissionInvalid, match="spending limit is in USD, and this model is priced in CNY"):
        make_mission(owner, 1)


def test_price_in_another_currency_counts_as_unknown(owner, account):
    limited, free = make_mission(owner, 1, spending_limit=Decimal(10)), make_mission(owner, 1)
    Mission.objects.update(currency="USD")  # the catalogue had USD when they were created
    assert execution.dispatch(account.pk) == 1
    assert reason_of(limited).startswith("The price of the next item is unknown")
    attempt = Attempt.objects.get()
    assert (attempt.item.mission, attempt.expected_cost, attempt.currency) == (free, None, "USD")
    assert not Mission.objects.exclude(reserved_cost=0).exists()


# --- Arithmetic ---


def test_affordable_stops_at_the_first_unknown_price():
    budget = Budget(limit=Decimal(10), charged=Decimal(3), expected=Decimal(2), in_flight=1, currency="CNY")
    prices = [Decimal(2), Decimal(3), Decimal("0.01")]
    assert [budget.affordable(some, "CNY") for some in (prices, [Decimal(2), None], [])] == [2, 1, 0]
    assert [budget.affordable(some, "USD") for some in (prices, [Decimal(0)])] == [0, 1]
    budget.reserve(prices[:2])
    assert (budget.left, budget.in_flight) == (Decimal(0), 3)


# --- Charges that differ from the price ---


@pytest.mark.parametrize("whose", ["mission", "owner"])
def test_few_are_sent_under_a_limit_until_a_charge_is_known(whose, owner, stranger, account, probing):
    if whose == "owner":
        limit_owner(owner, "9")
    more = {"spending_limit": Decimal(2)} if whose == "mission" else {}
    mission, other = make_mission(owner, 60, **more), make_mission(stranger, 3, priority=-1)
    assert [execution.dispatch(account.pk) for _ in range(2)] == [5 + 3, 0]
    first = Attempt.objects.filter(item__mission=mission).order_by("pk")[0]
    bring_on(first.pk, cost="0.05")
    assert execution.dispatch(account.pk) > 5
    check_mission(mission.pk)
    check_mission(other.pk)


def bring_on(attempt_id: int, *, cost: str) -> None:
    """Let a prepared attempt succeed with this charge."""
    assert begin(attempt_id)
    assert accept(attempt_id)
    assert succeed(attempt_id, cost=cost)


def test_a_charge_above_the_price_stops_the_mission_early(owner, account, probing):
    mission = make_mission(owner, 60, spending_limit=Decimal(2))
    execution.dispatch(account.pk)
    attempts = list(Attempt.objects.order_by("pk").values_list("pk", flat=True))
    bring_on(attempts[0], cost="0.50")
    assert "charged ¥0.50 for one item that was expected to cost ¥0.05." in reason_of(mission)
    assert "charged ¥0.50" in mission.items.get(index=1).events.order_by("pk").last().reason
    services.resume_mission(mission_id=mission.pk, actor="user:1")
    cache.clear()
    assert execution.dispatch(account.pk) == 3  # 1.50 is left of 2.00
    mission.refresh_from_db()
    assert mission.cost + mission.reserved_cost == Decimal("2.00")
    for attempt in Attempt.objects.filter(status="prepared"):
        assert (attempt.expected_cost, attempt.list_price) == (Decimal("0.50"), PRICE)
        bring_on(attempt.pk, cost="0.50")
    cache.clear()
    execution.dispatch(account.pk)
    assert "spending limit" in reason_of(mission)
    assert mission.cost == 2
    check_mission(mission.pk)


def test_an_odd_charge_withdraws_items_that_wait_to_be_sent(owner, account):
    mission = make_mission(owner, 2)
    first, second = claim(mission, account, 2)
    bring_on(first, cost="0.50")
    assert "charged ¥0.50" in reason_of(mission)
    assert Attempt.objects.get(pk=second).status == "void"
    check_mission(mission.pk)


def test_an_unbelievable_charge_eats_no_budget(owner, account):
    mission = make_mission(owner, 9, spending_limit=Decimal(2))
    good, bad = claim(mission, account, 2)
    bring_on(good, cost="0.05")
    bring_on(bad, cost="999.99")
    assert "It is not counted" in reason_of(mission)
    assert (mission.cost, mission.reserved_cost) == (PRICE, PRICE)
    assert Attempt.objects.get(pk=bad).cost is None
    check_mission(mission.pk)


def test_a_failed_task_with_an_odd_charge_stops_the_mission(owner, account):
    mission = make_mission(owner, 9)
    [attempt_id] = claim(mission, account)
    bring_to("running", attempt_id)
    fail(attempt_id, cost="0.50")
    assert "charged ¥0.50" in reason_of(mission)
    check_mission(mission.pk)
