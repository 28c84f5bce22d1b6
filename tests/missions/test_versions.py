"""Make results again as new versions, and choose among versions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from accounts.audit.models import AuditEntry
from billing.models import SpendingLimit
from core.errors import NotPossible
from media.services import delete_media
from missions import services
from missions.models import Attempt, ItemEvent, Mission, MissionItem, Output, RemovedSpending
from missions.policy import charges
from missions.services import MissionInvalid
from providers.models import ProviderAccount
from tests.factories import (
    Workers,
    accept,
    at_once,
    begin,
    bring_to,
    check_mission,
    claim,
    fail,
    make_media,
    make_mission,
    succeed,
)

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

ME = "user:7"
PRICE = Decimal("0.05")  # of the model that make_mission uses


@pytest.fixture(autouse=True)
def _prices_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold no item back until a charge is known."""
    monkeypatch.setattr(charges, "PROBE_ITEMS", 1000)


@pytest.fixture
def done(owner: User, account: ProviderAccount) -> Mission:
    """Return a mission with three completed items."""
    return complete(make_mission(owner, 3), account)


def complete(mission: Mission, account: ProviderAccount) -> Mission:
    """Complete every pending item of a mission."""
    for attempt_id in claim(mission, account, 100):
        bring_to("succeeded", attempt_id)
    mission.refresh_from_db()
    return mission


def again(mission: Mission, *indexes: int, **more: Any) -> list[int]:
    return services.make_again(mission_id=mission.pk, indexes=indexes, actor=ME, **more).indexes


def stacks(mission: Mission) -> dict[int, list[str]]:
    """Return the versions of each row with their status; a star marks the chosen one."""
    rows: dict[int, list[str]] = {}
    for item in mission.items.order_by("version", "index"):
        rows.setdefault(item.place, []).append(f"{item.status}{'*' if item.is_chosen else ''}")
    return rows


def everything(mission: Mission) -> list[Any]:
    """Return all rows of a mission."""
    models = (MissionItem, ItemEvent, Attempt, Output)
    paths = ("mission", "mission", "item__mission", "item__mission")
    rows = [model._default_manager.filter(**{path: mission}) for model, path in zip(models, paths, strict=True)]
    return [Mission.objects.filter(pk=mission.pk).values().get(), *(list(of.order_by("pk").values()) for of in rows)]


# --- Make again ---


def test_a_result_is_made_again_as_a_new_item(done):
    old = [MissionItem.objects.filter(mission=done).order_by("index").values()[:3], *everything(done)[3:]]
    old[0] = list(old[0])
    MissionItem.objects.filter(mission=done, index=2).update(custom_id="B-2")
    old[0][1]["custom_id"] = "B-2"
    made = services.make_again(mission_id=done.pk, indexes=[2], actor=ME)

    assert (made.indexes, made.estimate, made.currency) == ([4], PRICE, "CNY")
    first, new = done.items.get(index=2), done.items.get(index=4)
    assert (new.first_index, new.version, new.place, new.status) == (2, 2, 2, "pending")
    assert (new.params, new.custom_id, new.cost, new.attempt_limit) == (first.params, "B-2", 0, done.max_attempts)
    assert [list(done.items.order_by("index").values()[:3]), *everything(done)[3:]] == old
    done.refresh_from_db()
    assert (done.status, done.ended_at, done.total_count, done.pending_count) == ("running", None, 4, 1)
    assert (done.estimated_cost, done.cost) == (4 * PRICE, 3 * PRICE)
    event = new.events.get()
    assert (event.from_status, event.to_status, event.actor) == ("", "pending", ME)
    assert event.reason_display == "Version 2 of result 2, made again by a person."
    assert AuditEntry.objects.filter(verb="mission.again").get().details["estimate"] == "0.05"
    check_mission(done.pk)

    complete(done, Attempt.objects.first().account)
    assert (done.status, done.cost) == ("completed", 4 * PRICE)
    assert stacks(done) == {1: ["completed*"], 2: ["completed", "completed*"], 3: ["completed*"]}
    check_mission(done.pk)


def test_a_version_of_a_version_is_in_the_same_stack(done, account):
    assert again(done, 2, 3) == [4, 5]
    complete(done, account)
    assert again(done, 4, 2) == [6, 7]
    assert list(done.items.filter(first_index=2).values_list("index", "version")) == [(4, 2), (6, 3), (7, 4)]
    check_mission(done.pk)


def test_a_version_is_generated_and_stored(owner, workers: Workers, simulator):
    mission = workers.finish(make_mission(owner, 2))
    assert again(mission, 1) == [3]
    workers.finish(mission)
    assert stacks(mission) == {1: ["completed", "completed*"], 2: ["completed*"]}
    assert Output.objects.filter(item__mission=mission, status="stored").count() == 3


def test_edited_parameters_are_those_of_the_new_version(done):
    assert again(done, 1, 3, params={"prompt": "a red kettle", "aspectRatio": "16:9"}) == [4, 5]
    for index in (4, 5):
        item = done.items.get(index=index)
        assert done.params | item.params == done.params | {"prompt": "a red kettle", "aspectRatio": "16:9"}
    assert done.items.get(index=1).params["prompt"] == "a teapot, number 1"
    before = everything(done)
    with pytest.raises(MissionInvalid) as caught:
        again(done, 1, params={"aspectRatio": "17:9"})
    assert [error.field for error in caught.value.errors] == ["params.aspectRatio"]
    assert everything(done) == before


def test_only_completed_items_can_be_made_again(mixed):
    before = everything(mixed)
    for index, reason in (
        (1, "Item 1 failed. Retry it; that makes no new version."),
        (5, "Item 5 is unconfirmed. Resolve it first."),
        (6, "Item 6 is not completed yet. It can be made again when it is."),
        (7, "Item 7 is not completed yet. It can be made again when it is."),
    ):
        with pytest.raises(NotPossible, match=reason):
            again(mixed, 4, index)
    with pytest.raises(MissionInvalid) as caught:
        again(mixed, 4, 99)
    assert [error.field for error in caught.value.errors] == ["indexes.1"]
    assert everything(mixed) == before
    assert again(mixed, 4) == [8]
    check_mission(mixed.pk)


def test_cancelled_and_deleted_missions_refuse(mixed):
    services.cancel_mission(mission_id=mixed.pk, actor=ME)
    with pytest.raises(NotPossible, match="cancelled cannot be made again"):
        again(mixed, 4)
    services.delete_mission(mission_id=mixed.pk, actor=ME)
    with pytest.raises(NotPossible):
        again(mixed, 4)
    assert mixed.items.count() == 7


def test_a_missing_input_file_is_named_before_anything_is_sent(owner, account):
    media = make_media(owner)
    rows = [{"prompt": "blue", "imageUrls": [media.reference]}]
    mission = complete(make_mission(owner, rows, task_type="image_to_image"), account)
    delete_media(media=media)
    before = everything(mission)
    with pytest.raises(MissionInvalid, match="media:"):
        again(mission, 1)
    assert everything(mission) == before


# --- Money ---


def test_a_limit_that_does_not_cover_it_refuses(owner, account):
    mission = complete(make_mission(owner, 3, spending_limit=Decimal("0.27")), account)
    for limits, indexes, message in (
        ({}, (1, 2, 3), "¥0.12 is left of this mission's spending limit of ¥0.27"),
        ({"amount": Decimal("0.22")}, (1, 2), "¥0.07 is left of your spending limit of ¥0.22"),
    ):
        if limits:
            SpendingLimit.objects.create(user=owner, period="ever", **limits)
        before = everything(mission)
        with pytest.raises(MissionInvalid) as caught:
            again(mission, *indexes)
        assert [(error.field, message in error.message) for error in caught.value.errors] == [("indexes", True)]
        assert everything(mission) == before
    SpendingLimit.objects.all().delete()
    assert again(mission, 1, 2) == [4, 5]
    with pytest.raises(MissionInvalid, match=r"0\.02 is left"):  # what is pending counts, too
        again(mission, 3)
    complete(mission, account)
    assert (mission.status, mission.cost) == ("completed", 5 * PRICE)


def test_a_second_click_pays_nothing(done, account):
    assert again(done, 1, 2, seen_versions={1: 1, 2: 1}) == [4, 5]
    before = everything(done)
    assert again(done, 1, 2, seen_versions={1: 1, 2: 1}) == []
    assert everything(done) == before
    assert again(done, 1, 3, seen_versions={1: 2, 3: 1}) == [6, 7]
    check_mission(done.pk)


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_pay_once(done):
    results = at_once(*[lambda: again(done, 2, seen_versions={2: 1})] * 4)
    assert sorted(results) == [[], [], [], [4]]
    results = at_once(*[lambda: again(done, 2)] * 3)  # without a number each request is one of its own
    assert sorted(results) == [[5], [6], [7]]
    assert list(done.items.filter(first_index=2).order_by("index").values_list("version", flat=True)) == [2, 3, 4, 5]
    check_mission(done.pk)


def test_a_failure_before_the_commit_leaves_nothing(done):
    before = everything(done)

    def crash(made: services.NewVersions) -> None:
        assert made.indexes == [4]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        again(done, 1, on_done=crash)
    assert everything(done) == before
    assert not AuditEntry.objects.filter(verb="mission.again").exists()


def test_pause_and_cancel_stop_a_version_at_once(done, account):
    again(done, 1, 2, 3)
    services.pause_mission(mission_id=done.pk, actor=ME)
    assert claim(done, account, 3) == []
    again(done, 1)  # waits with the others
    assert claim(done, account, 3) == []
    services.resume_mission(mission_id=done.pk, actor=ME)
    held, sent = claim(done, account, 2)
    assert begin(sent)
    assert services.cancel_mission(mission_id=done.pk, actor=ME).cancelled_count == 3
    assert not begin(held)
    accept(sent)
    succeed(sent)
    done.refresh_from_db()
    assert (done.status, done.cost, done.cancelled_count) == ("cancelled", 4 * PRICE, 3)
    check_mission(done.pk)


def test_a_deleted_mission_keeps_what_versions_cost(done, account, owner):
    again(done, 1, 2)
    complete(done, account)
    services.delete_mission(mission_id=done.pk, actor=ME)
    assert not Mission.objects.exists()
    assert sum(RemovedSpending.objects.values_list("amount", flat=True)) == 5 * PRICE


# --- Choose ---


def test_the_newest_completed_version_is_chosen(done, account):
    again(done, 1, 1)
    again(done, 1)
    slow, fast = claim(done, account, 2)
    bring_to("running", slow)
    assert stacks(done)[1] == ["completed*", "processing", "submitting"]
    bring_to("succeeded", fast)
    assert stacks(done)[1] == ["completed", "processing", "completed*"]
    succeed(slow)
    assert stacks(done)[1] == ["completed", "completed", "completed*"]
    again(done, 1)
    (attempt_id,) = claim(done, account)
    bring_to("running", attempt_id)
    fail(attempt_id)
    assert stacks(done)[1] == ["completed", "completed", "completed*", "failed"]
    check_mission(done.pk)


def test_a_choice_stays_and_costs_nothing(done, account):
    again(done, 1)
    complete(done, account)
    cost = done.cost
    services.choose_version(item=done.items.get(index=1))
    assert stacks(done)[1] == ["completed*", "completed"]
    again(done, 1)
    complete(done, account)
    assert stacks(done)[1] == ["completed*", "completed", "completed"]
    services.choose_version(item=done.items.get(index=4))
    assert stacks(done)[1] == ["completed", "completed*", "completed"]
    done.refresh_from_db()
    assert (done.cost, done.status) == (cost + PRICE, "completed")
    again(done, 1)
    with pytest.raises(NotPossible, match="Only a completed version can be chosen"):
        services.choose_version(item=done.items.get(index=6))
    check_mission(done.pk)


def test_statements_do_not_grow_with_the_selection(owner, account, django_assert_max_num_queries):
    mission = complete(make_mission(owner, 60), account)
    with django_assert_max_num_queries(40):
        assert again(mission, *range(1, 61)) == list(range(61, 121))
