"""Repair after dead workers, and start of work that has become due."""

from __future__ import annotations

import contextlib
import math
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from missions import lifecycle, reasons, references, search
from missions.execution import answer_journal, inline
from missions.execution.completion import DOWNLOAD_LEASE
from missions.execution.dispatch import dispatch
from missions.execution.poll import LATE_AFTER, MAX_HELPERS, POLL_BATCH, POLL_LEASE, due_polls
from missions.models import Attempt, AttemptStatus, Mission, MissionStatus, Output, OutputStatus
from missions.results import download
from providers import catalog, provider_accounts
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from workers import queue
from workers.heartbeat import is_dead

PREPARED_LIMIT = timedelta(seconds=20)  # preparing takes less, unless files are uploaded
PREPARING_LIMIT = timedelta(minutes=10)  # a worker is uploading reference files
SENDING_FACTOR = 2  # after this multiple of its limit, a submission has no worker any more
FIND_AFTER = timedelta(seconds=60)  # a lost submission may still be on its way to the provider
FIND_AFTER_INLINE = timedelta(seconds=5)
CHECK_INTERVAL = timedelta(minutes=10)
NO_SLOTS_CHECK_INTERVAL = timedelta(seconds=20)  # while the provider allows no task at all
REAP_BATCH = 200


def reap(account_id: int) -> None:
    """Repair after dead workers and start due work. Safe to call at any time, and often."""
    now = timezone.now()
    account = ProviderAccount.objects.get(pk=account_id)
    _repair(account, now)
    _reap_overdue(account_id, now)
    _resend_downloads(now)
    _reap_unanswered(account_id, now)
    _poll_unanswered(account_id, now)
    _send_lookups(account, now)
    _start_scheduled(now)
    _pause_missions_of_inactive_owners()
    for mission_id in _deletable_missions():
        queue.send("purge_mission", mission_id)
    if search.is_behind():
        queue.send("index_search")
    interval = NO_SLOTS_CHECK_INTERVAL if account.remote_concurrency == 0 else CHECK_INTERVAL
    if ProviderAccount.objects.filter(
        Q(checked_at=None) | Q(checked_at__lt=now - interval), pk=account_id, paused_at=None
    ).update(checked_at=now):
        queue.send("check_account", account_id)
    dispatch(account_id)


def _pause_missions_of_inactive_owners() -> None:
    """Pause the missions of people who were made inactive without the services, as in a shell."""
    stopping = (MissionStatus.SCHEDULED, *lifecycle.RUNNABLE)
    missions = Mission.objects.filter(owner__is_active=False, status__in=stopping).select_related("owner")
    for mission in missions.only("owner__username")[:REAP_BATCH]:
        with contextlib.suppress(lifecycle.LostRace):
            reason = reasons.OWNER_INACTIVE(name=mission.owner.get_username())
            lifecycle.pause(mission.pk, actor=lifecycle.ENGINE, reason=reason)


def repair(account_id: int) -> None:
    """Settle the submissions of workers that have died."""
    _repair(ProviderAccount.objects.get(pk=account_id), timezone.now())


def recover() -> None:
    """Settle all half-done work at once.

    Call it at a start without another live cluster: only dead workers can have left it then.
    """
    download.remove_parts()
    attempts = Attempt.objects.filter(account__in=ProviderAccount.objects.values_list("pk", flat=True).order_by())
    for attempt in attempts.filter(status=AttemptStatus.PREPARED):
        lifecycle.withdraw(attempt.pk, reason=reasons.WORKER_DIED_BEFORE_SENDING())
    for attempt in attempts.filter(status=AttemptStatus.SENDING):
        _give_up_sending(attempt)
    answer_journal.remove()
    Output.objects.filter(status=OutputStatus.PENDING).update(next_try_at=timezone.now())
    # Two clusters' worth of leases at most: polling a little early does no harm. They count as
    # overdue, because nobody has watched them.
    running = attempts.filter(status=AttemptStatus.RUNNING, next_poll_at__lte=timezone.now() + POLL_LEASE)
    running.update(next_poll_at=timezone.now() - 2 * LATE_AFTER)


def _repair(account: ProviderAccount, now: datetime) -> None:
    """Give up attempts that nobody will send, or whose worker died while it sent them.

    An attempt stays prepared when its message is lost, or its worker died or could not reach the
    database. A submit that does the whole work takes long: until its limit the worker counts as
    alive.
    """
    prepared = Attempt.objects.filter(account=account, status=AttemptStatus.PREPARED)
    late = prepared.filter(created_at__lt=now - PREPARED_LIMIT).select_related("item__mission", "account")
    for attempt in late[:REAP_BATCH]:
        is_preparing_files = bool(attempt.worker) and references.has_files(attempt)
        if not is_preparing_files or attempt.created_at < now - PREPARING_LIMIT:
            lifecycle.withdraw(attempt.pk, reason=reasons.NOT_SENT_IN_TIME())
    for attempt in prepared.exclude(worker="")[:REAP_BATCH]:
        if is_dead(attempt.worker, now):
            lifecycle.withdraw(attempt.pk, reason=reasons.WORKER_DIED_BEFORE_SENDING())
    submit_seconds = provider_accounts.public_settings(account).submit_limit_seconds
    limit = timedelta(seconds=submit_seconds * SENDING_FACTOR)
    for attempt in Attempt.objects.filter(account=account, status=AttemptStatus.SENDING)[:REAP_BATCH]:
        is_late = attempt.sending_at is None or attempt.sending_at < now - limit
        if is_late or is_dead(attempt.worker, now):
            _give_up_sending(attempt)


def _give_up_sending(attempt: Attempt) -> None:
    """Settle an attempt whose worker died: accepted if it had noted the task, else unconfirmed."""
    if task_id := answer_journal.task_id_of(attempt):
        now = timezone.now()
        acceptance = lifecycle.Acceptance(
            remote_task_id=task_id, raw={}, at=attempt.sending_at or now, next_poll_at=now
        )
        with contextlib.suppress(IntegrityError), transaction.atomic():
            lifecycle.accept({attempt.pk: acceptance}, reason=reasons.ANSWER_FOUND())
            return
    lifecycle.mark_unconfirmed(
        attempt.pk,
        code=reasons.WORKER_DIED.code,
        message=reasons.WORKER_DIED(),
    )
    inline.discard_text(attempt)


def _reap_overdue(account_id: int, now: datetime) -> None:
    """Fail tasks that a poll found running past their model's deadline; keep their task ids.

    A task that was not polled for long is polled first: it may have ended well while the workers
    were down.
    """
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
    shortest = catalog.shortest_deadline()
    late = running.filter(running_seen_at__gt=F("accepted_at") + shortest)
    for attempt in late.select_related("item__mission")[:REAP_BATCH]:
        model = catalog.model_of(attempt.item.mission)
        run_time = (attempt.running_seen_at or now) - (attempt.accepted_at or now)
        if run_time.total_seconds() > model.deadline_seconds:
            lifecycle.fail(
                attempt.pk,
                code="deadline",
                message=reasons.DEADLINE(minutes=model.deadline_seconds // 60, task_id=attempt.remote_task_id),
            )


def _reap_unanswered(account_id: int, now: datetime) -> None:
    """Mark tasks unconfirmed that could not be polled for longer than they may take.

    This frees their slots.
    """
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
    shortest = catalog.shortest_deadline()
    for attempt in running.filter(unanswered_since__lt=now - shortest).select_related("item__mission")[:REAP_BATCH]:
        model = catalog.model_of(attempt.item.mission)
        silence = now - (attempt.unanswered_since or now)
        if silence.total_seconds() > model.deadline_seconds:
            lifecycle.mark_unreachable(
                attempt.pk,
                code="out_of_sight",
                message=reasons.UNREACHABLE(
                    minutes=round(silence.total_seconds() / 60), task_id=attempt.remote_task_id
                ),
            )


def _poll_unanswered(account_id: int, now: datetime) -> None:
    """Wake workers for the polls that are due again after one without an answer."""
    count = due_polls(account_id, now, is_unanswered=True)[: MAX_HELPERS * POLL_BATCH].count()
    queue.send_many("poll_unanswered", [(account_id,)] * math.ceil(count / POLL_BATCH))


def _send_lookups(account: ProviderAccount, now: datetime) -> None:
    """Let workers check unconfirmed attempts whose task is named or can be found by our id."""
    capabilities = PROVIDERS[account.provider].capabilities
    unconfirmed = Attempt.objects.filter(account=account, status=AttemptStatus.UNCONFIRMED)
    due = unconfirmed.filter(Q(next_poll_at=None) | Q(next_poll_at__lte=now))
    can_find = ~Q(hinted_task_id="", remote_task_id="")
    if capabilities.finds_by_our_id:
        can_find |= Q(sending_at__lt=now - (FIND_AFTER_INLINE if capabilities.finishes_in_submit else FIND_AFTER))
    queue.send_many(
        "rescue", [(attempt_id,) for attempt_id in due.filter(can_find).values_list("pk", flat=True)[:REAP_BATCH]]
    )


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
    """Return missions that are marked for deletion and have nothing in flight."""
    missions = Mission.objects.filter(delete_requested_at__isnull=False, submitting_count=0, processing_count=0)
    return list(missions.values_list("pk", flat=True)[:REAP_BATCH])
