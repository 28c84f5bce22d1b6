"""What dead workers left, and what time has made due."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from missions import lifecycle, selectors
from missions.execution.completion import DOWNLOAD_LEASE
from missions.execution.dispatch import WITH_FILES, dispatch
from missions.execution.poll import POLL_LEASE
from missions.models import Attempt, AttemptStatus, Mission, MissionStatus, Output, OutputStatus
from missions.results import download
from providers import catalog
from providers.models import ProviderAccount
from workers import queue
from workers.heartbeat import is_dead

DIED_BEFORE = gettext_noop("The worker died before it was sent.")
NOT_SENT = gettext_noop("No worker sent it in time.")
PREPARED_LIMIT = timedelta(seconds=20)  # that long nobody prepares what has no files
PREPARING_LIMIT = timedelta(minutes=10)  # a worker is uploading reference files
SENDING_LIMIT = timedelta(seconds=120)  # longer than any POST can take
CHECK_INTERVAL = timedelta(minutes=10)
REAP_BATCH = 200


def reap(account_id: int) -> None:
    """Repair what dead workers left and start what time has made due.  Safe to run at any moment, any number of times."""
    now = timezone.now()
    repair(account_id)
    _reap_overdue(account_id)
    _resend_downloads(now)
    _lose_sight(account_id, now)
    _resend_rescues(account_id, now)
    _start_scheduled(now)
    for mission_id in _deletable_missions():
        queue.send("purge_mission", mission_id)
    if ProviderAccount.objects.filter(
        Q(checked_at=None) | Q(checked_at__lt=now - CHECK_INTERVAL), pk=account_id, paused_at=None
    ).update(checked_at=now):
        queue.send("check_account", account_id)
    dispatch(account_id)


def repair(account_id: int) -> None:
    """Settle the submissions of workers that have died."""
    now = timezone.now()
    _reap_prepared(account_id, now)
    _reap_sending(account_id, now)


def recover() -> None:
    """After a start with no other cluster alive: whatever is half done was left by the dead, so nothing has to be waited for."""
    for part in download.parts():
        part.unlink(missing_ok=True)
    attempts = Attempt.objects.filter(account__in=ProviderAccount.objects.values_list("pk", flat=True).order_by())
    for attempt in attempts.filter(status=AttemptStatus.PREPARED):
        lifecycle.withdraw(attempt.pk, reason=DIED_BEFORE)
    for attempt in attempts.filter(status=AttemptStatus.SENDING):
        _give_up_sending(attempt)
    Output.objects.filter(status=OutputStatus.PENDING).update(next_try_at=timezone.now())
    # Two clusters' worth of leases at most: asking a little early does no harm.
    attempts.filter(status=AttemptStatus.RUNNING, next_poll_at__lte=timezone.now() + POLL_LEASE).update(
        next_poll_at=timezone.now()
    )


def _reap_prepared(account_id: int, now: datetime) -> None:
    """Give up what nobody will send: its message was lost, its worker has died, or lives and was kept from it by the database."""
    prepared = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.PREPARED)
    may_take_long = ~Q(worker="") & Q(item__mission__task_type__in=WITH_FILES)
    is_overdue = Q(created_at__lt=now - PREPARED_LIMIT) & ~may_take_long | Q(created_at__lt=now - PREPARING_LIMIT)
    for attempt in prepared.filter(is_overdue)[:REAP_BATCH]:
        lifecycle.withdraw(attempt.pk, reason=NOT_SENT)
    for attempt in prepared.exclude(worker="")[:REAP_BATCH]:
        if is_dead(attempt.worker, now):
            lifecycle.withdraw(attempt.pk, reason=DIED_BEFORE)


def _reap_sending(account_id: int, now: datetime) -> None:
    sending = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.SENDING)
    for attempt in sending[:REAP_BATCH]:
        is_overdue = attempt.sending_at is None or attempt.sending_at < now - SENDING_LIMIT
        if is_overdue or is_dead(attempt.worker, now):
            _give_up_sending(attempt)


def _give_up_sending(attempt: Attempt) -> None:
    lifecycle.mark_unconfirmed(
        attempt.pk,
        code=selectors.WORKER_DIED,
        message=gettext_noop("The worker died while it was sending: the provider may have accepted and charged it."),
    )


def _reap_overdue(account_id: int) -> None:
    """End the wait for tasks that were seen running past their model's deadline.  The remote task id is kept.

    What nobody asked about for long is asked first: it may have ended well while the workers were down.
    """
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
    shortest = catalog.shortest_deadline()
    late = running.filter(running_seen_at__gt=F("accepted_at") + shortest)
    for attempt in late.select_related("item__mission")[:REAP_BATCH]:
        model = catalog.model_of(attempt.item.mission)
        if _run_seconds(attempt) > model.deadline_seconds:
            lifecycle.fail(
                attempt.pk,
                code="deadline",
                message=f"No result after {model.deadline_seconds // 60} minutes. "
                f"Task {attempt.remote_task_id} may still end and be charged.",
            )


def _lose_sight(account_id: int, now: datetime) -> None:
    """A task about which no question was answered for longer than it may take: its fate is unknown, and its slot free."""
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
    shortest = catalog.shortest_deadline()
    for attempt in running.filter(unanswered_since__lt=now - shortest).select_related("item__mission")[:REAP_BATCH]:
        model = catalog.model_of(attempt.item.mission)
        silence = now - (attempt.unanswered_since or now)
        if silence.total_seconds() > model.deadline_seconds:
            lifecycle.mark_unreachable(
                attempt.pk,
                code="out_of_sight",
                message=f"For {silence.total_seconds() // 60:.0f} minutes the provider could not say how task "
                f"{attempt.remote_task_id} stands. It may have ended and been charged. It is still asked "
                "about now and then; that costs nothing.",
            )


def _resend_rescues(account_id: int, now: datetime) -> None:
    """Unconfirmed attempts whose task somebody has named, and that were not asked about lately."""
    lost = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.UNCONFIRMED)
    named = lost.exclude(hinted_task_id="", remote_task_id="")
    due = named.filter(Q(next_poll_at=None) | Q(next_poll_at__lte=now))
    queue.send_many("rescue", [(attempt_id,) for attempt_id in due.values_list("pk", flat=True)[:REAP_BATCH]])


def _run_seconds(attempt: Attempt) -> float:
    """For how long a task was seen running."""
    if attempt.running_seen_at is None or attempt.accepted_at is None:
        return 0.0
    return (attempt.running_seen_at - attempt.accepted_at).total_seconds()


def _resend_downloads(now: datetime) -> None:
    due = Output.objects.filter(status=OutputStatus.PENDING, next_try_at__lte=now).order_by("next_try_at")
    with transaction.atomic():
        rows = list(due.select_for_update(skip_locked=True, no_key=True).values_list("try_count", "pk")[:REAP_BATCH])
        Output.objects.filter(pk__in=[pk for _, pk in rows]).update(next_try_at=now + DOWNLOAD_LEASE)
        queue.send_many("archive", rows)


def _start_scheduled(now: datetime) -> None:
    due = Mission.objects.filter(status=MissionStatus.SCHEDULED, not_before__lte=now)
    for mission_id in due.values_list("pk", flat=True)[:REAP_BATCH]:
        try:
            lifecycle.start_scheduled(mission_id)
        except lifecycle.LostRace:
            continue


def _deletable_missions() -> list[int]:
    """Missions marked for removal of which nothing is in flight any more."""
    marked = Mission.objects.filter(delete_requested_at__isnull=False, submitting_count=0, processing_count=0)
    return list(marked.values_list("pk", flat=True)[:REAP_BATCH])
