"""Each move of the lifecycle: allowed sources, resulting rows and events, no effect elsewhere."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from core.db.transactions import durable_transaction
from missions import execution, lifecycle
from missions.lifecycle import LostRace
from missions.models import (
    LIVE_ATTEMPTS,
    Attempt,
    AttemptStatus,
    ItemEvent,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
)
from providers.models import ProviderAccount
from tests.factories import (
    accept,
    begin,
    bring_to,
    check_mission,
    claim,
    fail,
    lose_answer,
    make_mission,
    refuse,
    succeed,
)

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

ME = "user:7"
Move = Callable[[int], Any]


def snapshot() -> list[Any]:
    """Return all rows that a move can change."""
    return [list(model.objects.order_by("pk").values()) for model in (Mission, MissionItem, Attempt, Output, ItemEvent)]


def attempt_in(status: str, owner: User, account: ProviderAccount) -> Attempt:
    mission = make_mission(owner, 2)  # the second item keeps the mission open
    (attempt_id,) = claim(mission, account)
    bring_to(status, attempt_id)
    return Attempt.objects.select_related("item__mission").get(pk=attempt_id)


def mission_in(status: str, owner: User, account: ProviderAccount) -> Mission:
    later = timezone.now() + timedelta(hours=1) if status == "scheduled" else None
    mission = make_mission(owner, 1, not_before=later)
    if status in ("running", "completed", "failed"):
        (attempt_id,) = claim(mission, account)
        bring_to({"running": "running", "completed": "succeeded", "failed": "failed"}[status], attempt_id)
    if status == "paused":
        lifecycle.pause(mission.pk, actor=ME, reason="lunch")
    if status == "cancelled":
        lifecycle.cancel(mission.pk, actor=ME)
    mission.refresh_from_db()
    assert mission.status == status
    return mission


def last_event(mission: Mission, *, of_item: bool) -> ItemEvent:
    event = mission.events.filter(item__isnull=not of_item).last()
    assert event is not None
    return event


# --- Attempts and their items ---

ATTEMPT_STATUSES = ["prepared", "sending", "running", "unconfirmed", "succeeded", "failed", "refused", "void"]

# name → function, {status before: (status of the attempt after, status of its item after)}
ATTEMPT_MOVES: dict[str, tuple[Move, dict[str, tuple[str, str]]]] = {
    "mark_sending": (begin, {"prepared": ("sending", "submitting")}),
    "accept": (accept, {"sending": ("running", "processing"), "unconfirmed": ("running", "processing")}),
    "refuse, again": (refuse, {"prepared": ("refused", "pending"), "sending": ("refused", "pending")}),
    "refuse": (
        lambda pk: refuse(pk, again=False),
        {"prepared": ("refused", "failed"), "sending": ("refused", "failed")},
    ),
    "withdraw": (lambda pk: lifecycle.withdraw(pk, reason="lost"), {"prepared": ("void", "pending")}),
    "mark_unconfirmed": (lose_answer, {"sending": ("unconfirmed", "unconfirmed")}),
    "void_unconfirmed": (
        lambda pk: lifecycle.void_unconfirmed(pk, actor=ME, reason="I looked."),
        {"unconfirmed": ("void", "pending")},
    ),
    "succeed": (succeed, {"running": ("succeeded", "completed")}),
    "fail": (fail, {"running": ("failed", "failed")}),
    "fail, again": (lambda pk: fail(pk, again=True), {"running": ("failed", "pending")}),
}
ALLOWED = [(move, source) for move, (_, ways) in ATTEMPT_MOVES.items() for source in ways]
REFUSED = [(move, source) for move in ATTEMPT_MOVES for source in ATTEMPT_STATUSES if (move, source) not in ALLOWED]


@pytest.mark.parametrize("move, source", ALLOWED)
def test_move_changes_rows_and_counts_and_writes_an_event(move, source, owner, account):
    attempt = attempt_in(source, owner, account)
    item_source = attempt.item.status
    do, ways = ATTEMPT_MOVES[move]
    events = attempt.item.events.count()

    assert do(attempt.pk)

    attempt.refresh_from_db()
    assert (attempt.status, attempt.item.status) == ways[source]
    check_mission(attempt.item.mission_id)
    if item_source != attempt.item.status:
        assert attempt.item.events.count() == events + 1
        event = last_event(attempt.item.mission, of_item=True)
        assert (event.item_id, event.from_status, event.to_status) == (
            attempt.item_id,
            item_source,
            attempt.item.status,
        )
        assert event.attempt_number == attempt.number
        assert event.actor == (ME if move == "void_unconfirmed" else "engine")


@pytest.mark.parametrize("move, source", REFUSED)
def test_forbidden_move_changes_nothing(move, source, owner, account):
    attempt = attempt_in(source, owner, account)
    before = snapshot()
    assert not ATTEMPT_MOVES[move][0](attempt.pk)
    assert snapshot() == before


def test_error_is_stored_on_item_attempt_and_event(owner, account):
    attempt = attempt_in("sending", owner, account)
    refuse(attempt.pk, again=False)
    attempt.refresh_from_db()
    for row in (attempt, attempt.item):
        assert (row.error_code, row.error_message) == ("1003", "Too fast.")
    assert last_event(attempt.item.mission, of_item=True).reason == "Too fast."


def test_accept_stores_the_task_and_clears_errors(owner, account):
    attempt = attempt_in("unconfirmed", owner, account)
    now = timezone.now()
    acceptance = lifecycle.Acceptance(remote_task_id="42", raw={"a": 1}, at=now, next_poll_at=now)
    assert lifecycle.accept({attempt.pk: acceptance}, reason="The provider confirmed it.") == {attempt.pk}
    attempt.refresh_from_db()
    assert (attempt.remote_task_id, attempt.raw, attempt.accepted_at) == ("42", {"a": 1}, now)
    assert (attempt.error_code, attempt.error_message, attempt.item.error_code, attempt.item.error_message) == (
        ("",) * 4
    )
    assert last_event(attempt.item.mission, of_item=True).reason == "The provider confirmed it."


def test_request_and_worker_are_stored_before_sending(owner, account):
    attempt = attempt_in("prepared", owner, account)
    assert lifecycle.mark_sending({attempt.pk: {"prompt": "x"}}, worker="cluster:12") == {attempt.pk}
    attempt.refresh_from_db()
    assert (attempt.request, attempt.worker) == ({"prompt": "x"}, "cluster:12")
    assert attempt.sending_at
    assert attempt.item.started_at == attempt.sending_at


@pytest.mark.django_db(transaction=True)
def test_only_the_sending_mark_is_synced_to_disk():
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL syncs every commit")

    def synchronous() -> int:
        with connection.cursor() as cursor:
            return int(cursor.execute("PRAGMA synchronous").fetchone()[0])

    assert synchronous() == 1
    with durable_transaction():
        assert synchronous() == 2
    assert synchronous() == 1


@pytest.mark.parametrize("status", LIVE_ATTEMPTS)
def test_the_database_refuses_a_second_live_attempt_of_an_item(status, owner, account):
    attempt = attempt_in("prepared", owner, account)
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.create(item=attempt.item, number=2, account=account, status=status, model="x/y")


def test_a_remote_task_belongs_to_one_attempt(owner, account):
    mission = make_mission(owner, 2)
    first, second = claim(mission, account, 2)
    bring_to("sending", first)
    bring_to("sending", second)
    assert accept(first, task_id="42")
    with pytest.raises(IntegrityError), transaction.atomic():
        accept(second, task_id="42")
    check_mission(mission.pk)


def test_the_database_refuses_counts_that_do_not_add_up(owner):
    mission = make_mission(owner, 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        Mission.objects.filter(pk=mission.pk).update(failed_count=1)


# --- Counts of attempts and costs ---


def test_only_possibly_paid_submissions_count_as_attempts(owner, account):
    mission = make_mission(owner, 1)
    item = mission.items.get()

    def attempts() -> tuple[int, int]:
        item.refresh_from_db()
        return item.submission_count, item.attempt_count

    for move in (refuse, lambda pk: lifecycle.withdraw(pk, reason="lost")):
        (attempt_id,) = claim(mission, account)
        assert move(attempt_id)
    assert attempts() == (2, 0)
    (attempt_id,) = claim(mission, account)
    bring_to("unconfirmed", attempt_id)
    assert attempts() == (3, 1)
    accept(attempt_id)
    assert attempts() == (3, 1)
    fail(attempt_id, again=True)
    assert attempts() == (3, 1)
    (attempt_id,) = claim(mission, account)
    bring_to("unconfirmed", attempt_id)
    assert attempts() == (4, 2)
    lifecycle.void_unconfirmed(attempt_id, actor=ME, reason="I looked.")
    assert attempts() == (4, 1)


def test_refusals_of_the_item_are_counted_in_a_row(owner, account):
    mission = make_mission(owner, 1)
    item = mission.items.get()
    counts = []
    for counts_for in (True, True, False):
        (attempt_id,) = claim(mission, account)
        begin(attempt_id)
        refuse(attempt_id, counts_as_refusal=counts_for)
        item.refresh_from_db()
        counts.append(item.refusal_count)
    (attempt_id,) = claim(mission, account)
    bring_to("running", attempt_id)
    item.refresh_from_db()
    assert [*counts, item.refusal_count] == [1, 2, 2, 0]


def test_each_retry_of_a_paid_failure_is_counted(owner, account):
    mission = make_mission(owner, 1)
    for expected in (1, 2):
        (attempt_id,) = claim(mission, account)
        bring_to("running", attempt_id)
        fail(attempt_id, again=True)
        assert mission.items.get().retry_count == expected


def test_retry_grants_the_attempts_of_the_mission_again(owner, account):
    mission = make_mission(owner, 1, max_attempts=3)
    (attempt_id,) = claim(mission, account)
    bring_to("failed", attempt_id)
    MissionItem.objects.update(refusal_count=4)
    assert lifecycle.retry_failed(mission.pk, MissionItem.objects.all(), actor=ME) == 1
    item = mission.items.get()
    assert (item.attempt_count, item.attempt_limit, item.retry_count, item.refusal_count) == (1, 4, 1, 0)
    assert (item.error_code, item.error_message, item.ended_at) == ("", "", None)


def test_costs_add_up_over_attempts_items_and_the_mission(owner, account):
    mission = make_mission(owner, 2)
    first, second = claim(mission, account, 2)
    bring_to("running", first)
    bring_to("running", second)
    fail(first, again=True, cost="0.03")
    succeed(second, cost="0.25")
    (again,) = claim(mission, account)
    bring_to("running", again)
    succeed(again, cost=None)
    mission.refresh_from_db()
    assert mission.cost == Decimal("0.28")
    assert mission.items.get(index=1).cost == Decimal("0.03")
    assert Attempt.objects.get(pk=again).cost is None
    check_mission(mission.pk)


def test_a_success_lists_its_files_to_fetch_and_keeps_its_texts(owner, account):
    attempt = attempt_in("running", owner, account)
    now = timezone.now()
    outputs = [lifecycle.NewOutput(url="https://a.example/1.png", extension="png"), lifecycle.NewOutput(text="hello")]
    success = lifecycle.Success(outputs=outputs, cost=None, raw={"ok": 1})
    ids = lifecycle.succeed({attempt.pk: success}, expires_at=now, first_try_at=now)
    file, text = attempt.outputs.order_by("index")
    assert ids == [file.pk]
    assert (file.status, file.expires_at, file.next_try_at, file.stored_at) == ("pending", now, now, None)
    assert (text.status, text.text, text.expires_at, text.next_try_at) == ("stored", "hello", None, None)
    assert text.stored_at


# --- Missions ---


def start_when_due(mission_id: int) -> None:
    """Start a mission whose planned time has come."""
    Mission.objects.filter(pk=mission_id).update(not_before=timezone.now())
    lifecycle.start_scheduled(mission_id)


MISSION_STATUSES = ["scheduled", "queued", "running", "paused", "completed", "failed", "cancelled"]
MISSION_MOVES: dict[str, tuple[Move, dict[str, str]]] = {
    "start_scheduled": (start_when_due, {"scheduled": "queued"}),
    "start_now": (lambda pk: lifecycle.start_now(pk, actor=ME), {"scheduled": "queued"}),
    "pause": (
        lambda pk: lifecycle.pause(pk, actor=ME, reason="lunch"),
        dict.fromkeys(["scheduled", "queued", "running"], "paused"),
    ),
    "resume": (lambda pk: lifecycle.resume(pk, actor=ME), {"paused": "queued"}),
    "cancel": (
        lambda pk: lifecycle.cancel(pk, actor=ME),
        dict.fromkeys(["scheduled", "queued", "running", "paused"], "cancelled"),
    ),
}


@pytest.mark.parametrize("source", MISSION_STATUSES)
@pytest.mark.parametrize("move", MISSION_MOVES)
def test_a_mission_moves_only_where_its_status_allows(move, source, owner, account):
    mission = mission_in(source, owner, account)
    do, ways = MISSION_MOVES[move]
    if source not in ways:
        before = snapshot()
        with pytest.raises(LostRace), transaction.atomic():
            do(mission.pk)
        assert snapshot() == before
        return
    if move == "start_scheduled":
        with pytest.raises(LostRace):  # its time lies ahead: a person may have moved it
            lifecycle.start_scheduled(mission.pk)
    do(mission.pk)
    mission.refresh_from_db()
    assert mission.status == ways[source]
    event = last_event(mission, of_item=False)
    assert (event.from_status, event.to_status) == (source, ways[source])
    assert event.actor == ("engine" if move == "start_scheduled" else ME)
    check_mission(mission.pk)


def test_mission_with_one_success_is_completed(owner, account):
    mission = make_mission(owner, 2)
    assert (mission.status, mission.started_at) == ("queued", None)
    first, second = claim(mission, account, 2)
    mission.refresh_from_db()
    assert mission.status == "running"
    assert mission.started_at
    bring_to("failed", first)
    mission.refresh_from_db()
    assert (mission.status, mission.ended_at) == ("running", None)
    bring_to("succeeded", second)
    check_mission(mission.pk)
    events = mission.events.filter(item=None).values_list("from_status", "to_status", "actor")
    assert list(events) == [
        ("", "queued", f"user:{owner.pk}"),
        ("queued", "running", "engine"),
        ("running", "completed", "engine"),
    ]


def test_mission_without_a_success_fails(owner, account):
    mission = make_mission(owner, 2)
    for attempt_id in claim(mission, account, 2):
        bring_to("failed", attempt_id)
    mission.refresh_from_db()
    assert mission.status == "failed"
    check_mission(mission.pk)


def test_a_mission_with_an_unconfirmed_item_has_not_ended(owner, account):
    mission = make_mission(owner, 2)
    first, second = claim(mission, account, 2)
    bring_to("succeeded", first)
    bring_to("unconfirmed", second)
    mission.refresh_from_db()
    assert (mission.status, mission.ended_at) == ("running", None)
    accept(second)
    succeed(second)
    mission.refresh_from_db()
    assert mission.status == "completed"


def test_a_retry_reopens_an_ended_mission(owner, account):
    mission = mission_in("failed", owner, account)
    lifecycle.retry_failed(mission.pk, MissionItem.objects.all(), actor=ME, reason="again")
    mission.refresh_from_db()
    assert (mission.status, mission.ended_at) == ("running", None)
    item_event, mission_event = last_event(mission, of_item=True), last_event(mission, of_item=False)
    assert (item_event.from_status, item_event.to_status, item_event.actor, item_event.reason) == (
        "failed",
        "pending",
        ME,
        "again",
    )
    assert (mission_event.from_status, mission_event.to_status, mission_event.actor) == ("failed", "running", ME)
    check_mission(mission.pk)


def test_a_retry_without_failed_items_reopens_nothing(owner, account):
    mission = mission_in("completed", owner, account)
    before = snapshot()
    assert lifecycle.retry_failed(mission.pk, MissionItem.objects.all(), actor=ME) == 0
    assert snapshot() == before


def test_a_cancelled_or_doomed_mission_is_not_retried(owner, account):
    cancelled = mission_in("cancelled", owner, account)
    doomed = mission_in("failed", owner, account)
    lifecycle.request_deletion(doomed.pk, actor=ME)
    for mission in (cancelled, doomed):
        before = snapshot()
        with pytest.raises(LostRace), transaction.atomic():
            lifecycle.retry_failed(mission.pk, MissionItem.objects.all(), actor=ME)
        assert snapshot() == before


def test_a_paused_mission_goes_on_where_it_was(owner, account):
    soon = timezone.now() + timedelta(hours=1)
    started, fresh, later = make_mission(owner, 2), make_mission(owner, 1), make_mission(owner, 1, not_before=soon)
    bring_to("running", claim(started, account)[0])
    for mission, expected in ((started, "running"), (fresh, "queued"), (later, "scheduled")):
        lifecycle.pause(mission.pk, actor=ME, reason="lunch")
        mission.refresh_from_db()
        assert (mission.status, mission.pause_reason) == ("paused", "lunch")
        lifecycle.resume(mission.pk, actor=ME)
        mission.refresh_from_db()
        assert (mission.status, mission.pause_reason) == (expected, "")


def test_a_paused_mission_ends_when_its_last_item_does(owner, account):
    mission = mission_in("running", owner, account)
    lifecycle.pause(mission.pk, actor=ME, reason="lunch")
    succeed(Attempt.objects.get().pk)
    mission.refresh_from_db()
    assert (mission.status, mission.pause_reason) == ("completed", "")
    check_mission(mission.pk)


@pytest.mark.parametrize("stop, expected", [("pause", "pending"), ("cancel", "cancelled")])
def test_stop_withdraws_only_unsent_items(stop, expected, owner, account):
    mission = make_mission(owner, 5)
    ids = dict(zip(["prepared", "sending", "running", "unconfirmed"], claim(mission, account, 4), strict=True))
    for status, attempt_id in ids.items():
        bring_to(status, attempt_id)

    if stop == "pause":
        wire = lifecycle.pause(mission.pk, actor=ME, reason="lunch")
    else:
        count, wire = lifecycle.cancel(mission.pk, actor=ME, reason="wrong prompts")
        assert count == 2

    assert wire == [ids["sending"]]
    statuses = list(mission.items.order_by("index").values_list("status", flat=True))
    assert statuses == [expected, "submitting", "processing", "unconfirmed", expected]
    assert Attempt.objects.get(pk=ids["prepared"]).status == "void"
    event = mission.items.get(index=1).events.last()
    assert event
    assert event.actor == ME
    check_mission(mission.pk)


def test_cancelled_mission_keeps_paid_results_only(owner, account):
    mission = make_mission(owner, 4)
    good, bad, refused, lost = claim(mission, account, 4)
    for attempt_id in (good, bad):
        bring_to("running", attempt_id)
    bring_to("sending", refused)
    bring_to("unconfirmed", lost)
    lifecycle.cancel(mission.pk, actor=ME)
    succeed(good)
    fail(bad, again=True)
    refuse(refused)
    lifecycle.void_unconfirmed(lost, actor=ME, reason="I looked.")
    mission.refresh_from_db()
    assert mission.status == "cancelled"
    assert mission.ended_at
    assert list(mission.items.order_by("index").values_list("status", flat=True)) == ["completed", *["cancelled"] * 3]
    assert claim(mission, account) == []
    check_mission(mission.pk)


@pytest.mark.parametrize("status", ["scheduled", "paused", "completed", "failed", "cancelled"])
def test_nothing_is_claimed_from_a_mission_that_does_not_run(status, owner, account):
    mission = mission_in(status, owner, account)
    before = snapshot()
    assert claim(mission, account) == []
    assert snapshot() == before


def test_claims_come_in_batch_order_and_only_when_due(owner, account):
    mission = make_mission(owner, 4)
    mission.items.filter(index=1).update(available_at=timezone.now() + timedelta(minutes=1))
    attempts = [Attempt.objects.get(pk=pk) for pk in claim(mission, account, 2)]
    assert [attempt.item.index for attempt in attempts] == [2, 3]
    assert [attempt.number for attempt in attempts] == [1, 1]
    assert {attempt.item.account_id for attempt in attempts} == {account.pk}
    assert len(claim(mission, account, 9)) == 1


@pytest.mark.parametrize("change", [{"paused_at": timezone.now()}, {"is_enabled": False}])
def test_nothing_is_sent_for_a_stopped_account(change, owner, account):
    attempt = attempt_in("prepared", owner, account)
    ProviderAccount.objects.update(**change)
    assert not begin(attempt.pk)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.sending_at, attempt.item.status) == ("void", None, "pending")
    check_mission(attempt.item.mission_id)


@pytest.mark.parametrize("stop", ["pause", "cancel", "delete"])
def test_nothing_is_sent_for_a_stopped_mission(stop, owner, account):
    attempt = attempt_in("prepared", owner, account)
    mission_id = attempt.item.mission_id
    {
        "pause": lambda: lifecycle.pause(mission_id, actor=ME, reason="lunch"),
        "cancel": lambda: lifecycle.cancel(mission_id, actor=ME),
        "delete": lambda: lifecycle.request_deletion(mission_id, actor=ME),
    }[stop]()
    assert not begin(attempt.pk)
    assert not Attempt.objects.exclude(sending_at=None).exists()


@pytest.mark.parametrize("status", ["paused", "cancelled", "failed"])
def test_nothing_is_sent_unless_the_mission_runs(status, owner, account):
    attempt = attempt_in("prepared", owner, account)
    Mission.objects.update(status=status)
    assert not begin(attempt.pk)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.sending_at) == ("void", None)


def test_deletion_stops_an_open_mission_and_marks_it_once(owner, account):
    mission = make_mission(owner, 2)
    bring_to("sending", claim(mission, account)[0])
    assert lifecycle.request_deletion(mission.pk, actor=ME) == [Attempt.objects.get().pk]
    mission.refresh_from_db()
    marked_at = mission.delete_requested_at
    assert (mission.status, bool(marked_at)) == ("cancelled", True)
    assert lifecycle.request_deletion(mission.pk, actor=ME) == []
    mission.refresh_from_db()
    assert mission.delete_requested_at == marked_at


# --- Outputs ---


@pytest.fixture
def output(owner: User, account: ProviderAccount) -> Output:
    return attempt_in("succeeded", owner, account).outputs.get()


def test_a_download_is_taken_up_once_per_try(output):
    until = timezone.now() + timedelta(minutes=1)
    assert lifecycle.claim_downloads([output.pk, 999_999_999], try_number=0, lease_until=until) == [output.pk]
    assert lifecycle.claim_downloads([output.pk], try_number=0, lease_until=until) == []
    output.refresh_from_db()
    assert (output.try_count, output.next_try_at) == (1, until)


def test_an_output_is_stored_once(output):
    assert lifecycle.store_outputs({output.pk: {"file": "a.png", "sha256": "1"}}) == {output.pk}
    assert lifecycle.store_outputs({output.pk: {"file": "b.png", "sha256": "2"}}) == set()
    assert not lifecycle.lose_output(output.pk, message="too late")
    assert lifecycle.claim_downloads([output.pk], try_number=0, lease_until=timezone.now()) == []
    output.refresh_from_db()
    assert (output.status, output.file, output.next_try_at) == ("stored", "a.png", None)


def test_lost_output_leaves_its_item_completed(output):
    events = ItemEvent.objects.count()
    assert lifecycle.lose_output(output.pk, message="Its address expired.")
    assert not lifecycle.lose_output(output.pk, message="Its address expired.")
    assert lifecycle.store_outputs({output.pk: {"file": "a.png"}}) == set()
    output.refresh_from_db()
    assert (output.status, output.error_message, output.item.status) == ("lost", "Its address expired.", "completed")
    assert ItemEvent.objects.count() == events + 1
    assert last_event(output.item.mission, of_item=True).reason == "Its address expired."
    check_mission(output.item.mission_id)


# --- Any order of moves ---


class AnyOrder(RuleBasedStateMachine):
    """Moves in any order, forbidden ones included; the invariants hold after each."""

    owner: User
    account: ProviderAccount

    def __init__(self) -> None:
        super().__init__()
        self.outer = transaction.atomic()
        self.outer.__enter__()
        self.mission = make_mission(self.owner, 3)
        self.tasks = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.outer.__exit__(None, None, None)

    def some(self, data: st.DataObject, *likely: AttemptStatus) -> int | None:
        """Return the id of an attempt: four times in five of one in a ``likely`` status."""
        ids = list(Attempt.objects.filter(item__mission=self.mission).values_list("pk", flat=True))
        fit = list(Attempt.objects.filter(pk__in=ids, status__in=likely).values_list("pk", flat=True))
        is_fit: Any = data.draw(st.integers(0, 4))
        choices = fit if fit and is_fit else ids
        return data.draw(st.sampled_from(choices)) if choices else None

    def attempt(self, data: st.DataObject, move: Move, *allowed: AttemptStatus) -> None:
        attempt_id = self.some(data, *allowed)
        if attempt_id is None:
            return
        source = Attempt.objects.get(pk=attempt_id)
        before = snapshot()
        moved = move(attempt_id)
        if source.status not in allowed:
            assert not moved
            assert snapshot() == before

    def stop(self, move: Callable[[], Any]) -> None:
        before = snapshot()
        try:
            with transaction.atomic():
                move()
        except LostRace:
            assert snapshot() == before

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        claim(self.mission, self.account, limit)

    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.attempt(data, begin, AttemptStatus.PREPARED)

    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        self.tasks += 1
        self.attempt(
            data, lambda pk: accept(pk, task_id=str(self.tasks)), AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED
        )

    @rule(data=st.data(), again=st.booleans(), counts=st.booleans())
    def refuse(self, data: st.DataObject, again: bool, counts: bool) -> None:
        self.attempt(
            data,
            lambda pk: refuse(pk, again=again, counts_as_refusal=counts),
            AttemptStatus.PREPARED,
            AttemptStatus.SENDING,
        )

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        self.attempt(data, lambda pk: lifecycle.withdraw(pk, reason="lost"), AttemptStatus.PREPARED)

    @rule(data=st.data())
    def lose_answer(self, data: st.DataObject) -> None:
        self.attempt(data, lose_answer, AttemptStatus.SENDING)

    @rule(data=st.data())
    def void_unconfirmed(self, data: st.DataObject) -> None:
        self.attempt(
            data, lambda pk: lifecycle.void_unconfirmed(pk, actor=ME, reason="I looked."), AttemptStatus.UNCONFIRMED
        )

    @rule(data=st.data(), cost=st.sampled_from([None, "0.05"]))
    def succeed(self, data: st.DataObject, cost: str | None) -> None:
        self.attempt(data, lambda pk: succeed(pk, cost=cost), AttemptStatus.RUNNING)

    @rule(data=st.data(), again=st.booleans(), cost=st.sampled_from([None, "0.05"]))
    def fail(self, data: st.DataObject, again: bool, cost: str | None) -> None:
        self.attempt(data, lambda pk: fail(pk, again=again, cost=cost), AttemptStatus.RUNNING)

    @rule(data=st.data())
    def mark_unreachable(self, data: st.DataObject) -> None:
        lose = functools.partial(lifecycle.mark_unreachable, code="out_of_sight", message="Nobody could say.")
        self.attempt(data, lose, AttemptStatus.RUNNING)

    @rule()
    def crash(self) -> None:
        """Let all workers die and new ones start."""
        execution.recover()
        assert not Attempt.objects.filter(status__in=[AttemptStatus.PREPARED, AttemptStatus.SENDING]).exists()

    @rule()
    def pause(self) -> None:
        self.stop(lambda: lifecycle.pause(self.mission.pk, actor=ME, reason="lunch"))

    @rule()
    def resume(self) -> None:
        self.stop(lambda: lifecycle.resume(self.mission.pk, actor=ME))

    @precondition(lambda self: self.tasks > 3)  # earlier, little would be left to test
    @rule()
    def cancel(self) -> None:
        self.stop(lambda: lifecycle.cancel(self.mission.pk, actor=ME))

    @precondition(lambda self: self.tasks > 3)
    @rule()
    def delete(self) -> None:
        self.stop(lambda: lifecycle.request_deletion(self.mission.pk, actor=ME))

    @rule(index=st.integers(1, 3))
    def retry(self, index: int) -> None:
        items = MissionItem.objects.filter(index__lte=index)
        self.stop(lambda: lifecycle.retry_failed(self.mission.pk, items, actor=ME))

    @invariant()
    def everything_adds_up(self) -> None:
        check_mission(self.mission.pk)

    @invariant()
    def nothing_is_sent_again_that_may_have_been_paid(self) -> None:
        attempts = Attempt.objects.filter(item__mission=self.mission).order_by("item", "number")
        for before, after in itertools.pairwise(attempts):
            if before.item_id == after.item_id:
                assert before.status in (AttemptStatus.FAILED, AttemptStatus.REFUSED, AttemptStatus.VOID)

    @invariant()
    def a_stopped_mission_holds_no_unsent_slot(self) -> None:
        status = Mission.objects.values_list("status", flat=True).get(pk=self.mission.pk)
        if status == MissionStatus.PAUSED:
            assert not Attempt.objects.filter(item__mission=self.mission, status=AttemptStatus.PREPARED).exists()


@pytest.mark.parametrize("examples", [8, pytest.param(60, marks=pytest.mark.prove)])
def test_any_order_of_moves_keeps_sums_consistent(examples, owner, account):
    machine = type("Machine", (AnyOrder,), {"owner": owner, "account": account})
    settings = hypothesis_settings(max_examples=examples, stateful_step_count=25, derandomize=True, database=None)
    run_state_machine_as_test(machine, settings=settings)
