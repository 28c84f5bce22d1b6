"""The first rows of a mission, and the others, which wait for a release."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone

from core.errors import NotPossible
from missions import execution, lifecycle, services
from missions.models import Attempt, ItemStatus, Mission
from missions.services import MissionInvalid, RestChange
from providers import provider_accounts
from providers.models import ProviderAccount
from tests.factories import accept, at_once, begin, bring_to, check_mission, claim, fail, lose_answer, make_mission
from tests.factories import succeed as succeed_one

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

ME = "user:7"


@pytest.fixture
def account(account: ProviderAccount) -> ProviderAccount:
    ProviderAccount.objects.update(concurrency=10)
    return account


def sent(mission: Mission) -> set[int]:
    """Return the indexes of the items that were ever taken up."""
    return set(Attempt.objects.filter(item__mission=mission).values_list("item__index", flat=True))


def end_all(end: str = "succeeded") -> None:
    for attempt_id in Attempt.objects.filter(status="prepared").order_by("pk").values_list("pk", flat=True):
        bring_to(end, attempt_id)


def pause_code(mission: Mission) -> str | None:
    mission.refresh_from_db()
    return mission.pause_reason_code if mission.status == "paused" else None


def test_the_first_rows_run_and_the_mission_waits(owner, account):
    mission = make_mission(owner, 30, run_first=3)
    assert [execution.dispatch(account.pk) for _ in range(2)] == [3, 0]
    end_all()
    assert execution.dispatch(account.pk) == 0
    assert sent(mission) == {1, 2, 3}
    assert pause_code(mission) == "first_rows_done"
    assert (mission.completed_count, mission.held_count) == (3, 27)
    assert mission.estimated_cost is not None
    assert mission.held_cost == mission.estimated_cost * 27 / 30
    check_mission(mission.pk)


def test_a_release_runs_the_rest_once(owner, account):
    mission = make_mission(owner, 12, run_first=2)
    execution.dispatch(account.pk)
    end_all()
    price = Mission.objects.get(pk=mission.pk).held_cost
    released = services.release_mission(mission_id=mission.pk, actor=ME, at_most=price)
    assert (released.count, released.estimate) == (10, price)
    assert execution.dispatch(account.pk) == 10
    end_all()
    mission.refresh_from_db()
    assert (mission.status, mission.completed_count, mission.held_count, mission.held_cost) == (
        "completed",
        12,
        0,
        None,
    )
    with pytest.raises(NotPossible):
        services.release_mission(mission_id=mission.pk, actor=ME)
    assert Attempt.objects.count() == 12
    check_mission(mission.pk)


def test_a_release_while_the_first_rows_run_does_not_pause(owner, account):
    mission = make_mission(owner, 12, run_first=2)
    execution.dispatch(account.pk)
    services.release_mission(mission_id=mission.pk, actor=ME)
    end_all()
    assert pause_code(mission) is None
    assert execution.dispatch(account.pk) == 10
    check_mission(mission.pk)


def test_nothing_but_a_release_passes_the_first_rows(owner, account):
    mission = make_mission(owner, 30, run_first=3)
    execution.dispatch(account.pk)
    services.pause_mission(mission_id=mission.pk, actor=ME)
    services.resume_mission(mission_id=mission.pk, actor=ME)
    execution.dispatch(account.pk)
    first, second, third = claimed = (
        Attempt.objects.filter(status="prepared").order_by("pk").values_list("pk", flat=True)
    )
    assert len(claimed) == 3
    begin(first, second, third)
    accept(first, second)
    succeed_one(first)
    fail(second, again=True)  # the same item again
    assert lose_answer(third)
    assert execution.dispatch(account.pk) == 1
    assert pause_code(mission) is None
    end_all()
    assert pause_code(mission) == "first_rows_done"  # one is unconfirmed, and nothing else can go on
    lifecycle.void_unconfirmed(third, actor=ME, reason="It never ran.")
    assert execution.dispatch(account.pk) == 1
    execution.recover()
    execution.reap(account.pk)
    end_all("failed")
    with pytest.raises(services.NotReleased):
        services.resume_mission(mission_id=mission.pk, actor=ME)
    with pytest.raises(lifecycle.LostRace):
        lifecycle.resume(mission.pk, actor=ME)
    # Not even a time that has come lets an item pass.
    mission.items.update(available_at=timezone.now() - timedelta(days=1))
    Mission.objects.filter(pk=mission.pk).update(status="running")
    assert execution.dispatch(account.pk) == 0
    assert sent(mission) == {1, 2, 3}


def test_retries_and_new_versions_of_the_first_rows_run(owner, account):
    mission = make_mission(owner, 30, run_first=2)
    execution.dispatch(account.pk)
    first, second = Attempt.objects.order_by("pk").values_list("pk", flat=True)
    bring_to("succeeded", first)
    bring_to("failed", second)
    assert pause_code(mission) == "first_rows_done"
    services.retry_failed(mission_id=mission.pk, actor=ME)
    services.make_again(mission_id=mission.pk, indexes=[1], actor=ME)
    mission.refresh_from_db()
    assert (mission.status, mission.may_run_count) == ("running", 2)
    assert execution.dispatch(account.pk) == 2
    end_all()
    assert pause_code(mission) == "first_rows_done"
    assert sent(mission) == {1, 2, 31}
    check_mission(mission.pk)


def test_a_cancelled_mission_releases_nothing(owner, account):
    mission = make_mission(owner, 9, run_first=2)
    execution.dispatch(account.pk)
    end_all()
    assert services.cancel_mission(mission_id=mission.pk, actor=ME).cancelled_count == 7
    with pytest.raises(NotPossible):
        services.release_mission(mission_id=mission.pk, actor=ME)
    mission.refresh_from_db()
    assert (mission.status, mission.held_count, mission.cancelled_count) == ("cancelled", 0, 7)
    check_mission(mission.pk)


def test_as_many_first_rows_as_items_hold_nothing(owner, account):
    mission = make_mission(owner, 3, run_first=3)
    assert (mission.run_first, mission.held_count) == (None, 0)
    execution.dispatch(account.pk)
    end_all()
    mission.refresh_from_db()
    assert mission.status == "completed"


def test_a_surprising_charge_is_the_reason_of_the_pause(owner, account):
    mission = make_mission(owner, 9, run_first=1)
    (attempt_id,) = claim(mission, account, 5)
    begin(attempt_id)
    accept(attempt_id)
    succeed_one(attempt_id, cost="0.50")
    assert pause_code(mission) == "charged_above_price"


def test_a_release_minds_limits_and_the_price_that_was_seen(owner, account):
    mission = make_mission(owner, 10, run_first=1, spending_limit=Decimal("0.05"))
    execution.dispatch(account.pk)
    end_all()
    cases: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"at_most": Decimal("0.01")}, NotPossible),
        ({}, services.LimitReached),
        ({"spending_limit": Decimal(-1)}, MissionInvalid),
    ]
    for arguments, error in cases:
        with pytest.raises(error):
            services.release_mission(mission_id=mission.pk, actor=ME, **arguments)
        assert pause_code(mission) == "first_rows_done"
    services.release_mission(mission_id=mission.pk, actor=ME, spending_limit=Decimal(1))
    assert execution.dispatch(account.pk) == 9


# --- Changes of the rest ---


def test_the_rest_gets_other_prompts_and_settings(owner, account):
    mission = make_mission(owner, 5, run_first=2, params={"aspectRatio": "1:1"})
    execution.dispatch(account.pk)
    change = RestChange(params={"aspectRatio": "3:4"}, prefix="oil painting of", find="TEAPOT", replace="cat")
    seen = services.change_rest(mission_id=mission.pk, change=change, actor=ME, is_preview=True)
    assert seen.examples[0] == (3, "a teapot, number 3", "oil painting of a cat, number 3")
    assert mission.items.get(index=3).params == {"prompt": "a teapot, number 3"}
    changed = services.change_rest(mission_id=mission.pk, change=change, actor=ME)
    assert (changed.count, changed.price) == (3, seen.price)
    params = {item.index: mission.params | item.params for item in mission.items.all()}
    assert params[2] == {"prompt": "a teapot, number 2", "aspectRatio": "1:1"}
    assert params[5] == {"prompt": "oil painting of a cat, number 5", "aspectRatio": "3:4"}
    names = dict(mission.items.values_list("index", "file_name"))
    assert (names[2], names[5]) == ("2_a-teapot-number-2", "5_oil-painting-of-a-cat-number-5")
    mission.refresh_from_db()
    assert (mission.held_cost, mission.held_count) == (changed.price, 3)
    check_mission(mission.pk)


def test_changes_that_do_not_fit_change_nothing(owner, account):
    mission = make_mission(owner, 5, run_first=2)
    for change, field in (
        (RestChange(params={"aspectRatio": "7:7"}), "params.aspectRatio"),
        (RestChange(suffix="x" * 30_000), "params.prompt"),
    ):
        with pytest.raises(MissionInvalid) as refused:
            services.change_rest(mission_id=mission.pk, change=change, actor=ME)
        assert refused.value.errors[0].field == field
    services.release_mission(mission_id=mission.pk, actor=ME)
    with pytest.raises(NotPossible):
        services.change_rest(mission_id=mission.pk, change=RestChange(prefix="x"), actor=ME)
    assert mission.items.get(index=5).params == {"prompt": "a teapot, number 5"}


def test_the_price_of_other_settings_is_that_of_the_release(owner, account):
    rows = [{"prompt": f"waves {number}"} for number in range(4)]
    model = "rhart-video-v3.1-fast/text-to-video"
    mission = make_mission(
        owner, rows, task_type="text_to_video", model=model, run_first=1, params={"resolution": "720p"}
    )
    before = mission.estimated_cost
    changed = services.change_rest(mission_id=mission.pk, change=RestChange(params={"resolution": "4k"}), actor=ME)
    mission.refresh_from_db()
    assert before is not None
    assert changed.price is not None
    assert changed.price > before * 3 / 4
    assert mission.estimated_cost == before / 4 + changed.price


# --- Concurrency, with real transactions ---


@pytest.fixture
def stage(transactional_db: None) -> tuple[User, ProviderAccount]:
    account = provider_accounts.environment_account()
    ProviderAccount.objects.update(concurrency=10)
    return User.objects.create_user("li"), account


def test_workers_at_once_send_no_more_than_the_first_rows(stage):
    owner, account = stage
    mission = make_mission(owner, 40, run_first=4)

    def work() -> None:
        for number in range(10):
            execution.dispatch(account.pk)
            for attempt_id in Attempt.objects.filter(status="prepared").values_list("pk", flat=True)[:2]:
                if begin(attempt_id) and accept(attempt_id):
                    if number % 3:
                        succeed_one(attempt_id)
                    else:
                        fail(attempt_id, again=True)

    assert at_once(work, work, work) == [None] * 3
    assert sent(mission) == {1, 2, 3, 4}
    assert pause_code(mission) == "first_rows_done"
    check_mission(mission.pk)


def test_of_two_releases_at_once_one_wins(stage):
    owner, account = stage
    mission = make_mission(owner, 20, run_first=4)
    execution.dispatch(account.pk)
    end_all()

    def release() -> Any:
        return services.release_mission(mission_id=mission.pk, actor=ME)

    results = at_once(release, release, lambda: execution.dispatch(account.pk), release)
    assert sum(isinstance(result, services.Released) for result in results) == 1
    assert sum(isinstance(result, NotPossible) for result in results) == 2
    execution.dispatch(account.pk)
    mission.refresh_from_db()
    assert (mission.submitting_count, mission.held_count) == (10, 0)
    assert not mission.items.filter(status=ItemStatus.PENDING, available_at__gt=timezone.now()).exists()
    check_mission(mission.pk)


def test_a_row_changes_or_is_sent_never_both(stage):
    owner, account = stage
    mission = make_mission(owner, 10, run_first=1)

    def change() -> Any:
        return services.change_rest(mission_id=mission.pk, change=RestChange(suffix=", night"), actor=ME)

    def release() -> int:
        services.release_mission(mission_id=mission.pk, actor=ME)
        return execution.dispatch(account.pk)

    changed, count = at_once(change, release)
    assert count == 10
    late = sum("night" in item.params["prompt"] for item in mission.items.all())
    assert late == (0 if isinstance(changed, NotPossible) else 9)
    assert not mission.items.filter(submission_count__gt=F("retry_count") + 1).exists()
