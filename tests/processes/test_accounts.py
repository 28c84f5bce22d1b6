"""Two accounts at work on one mission: both limits hold, and a changed one holds from then on."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from missions.models import Attempt, AttemptStatus
from providers import encryption, provider_accounts
from providers.models import ProviderAccount
from tests.factories import add_account
from tests.process_fixtures import Stage
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

FIRST, SECOND, LOWERED = 50, 20, 5
ITEMS = 240


def test_accounts_share_a_mission_and_keep_a_lowered_limit(open_stage: OpenStage, settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    stage = open_stage(task_seconds=3)  # the keys say how much each may have at once: more is refused
    second = add_account("second", f"cap{SECOND}-second", stage.simulator.url, concurrency=SECOND)
    stage.start_workers(8, cap=FIRST, RUNNINGHUB_API_KEY=f"cap{FIRST}-environment")
    first = provider_accounts.environment_account()
    mission = stage.mission(ITEMS)

    stage.wait(lambda: running(first) > FIRST / 2 and running(second) > SECOND / 2, 60, every=0.02)
    set_limit(first, LOWERED)
    before = newest_attempt()
    stage.wait(lambda: Attempt.objects.filter(account=first, pk__gt=before).count() >= 2 * LOWERED, 60, every=0.02)
    after = newest_attempt()
    set_limit(first, FIRST)
    stage.wait(lambda: running(first) > LOWERED, 60, every=0.02)
    stage.finish(mission, 120)

    assert mission.completed_count == ITEMS
    stage.check_paid_once(mission)
    assert not stage.simulator.stats()["refused"]  # neither limit was ever exceeded
    assert max(crowds(stage, first).values()) > FIRST / 2
    sent_meanwhile = [crowd for pk, crowd in crowds(stage, first, until=after).items() if pk > before]
    assert sent_meanwhile
    assert max(sent_meanwhile) <= LOWERED
    assert stage.failures() == []


def set_limit(account: ProviderAccount, limit: int) -> None:
    account = ProviderAccount.objects.get(pk=account.pk)
    account.concurrency = limit
    provider_accounts.store(account, changed=["concurrency"])


def newest_attempt() -> int:
    return Attempt.objects.latest("pk").pk


def running(account: ProviderAccount) -> int:
    return Attempt.objects.filter(account=account, status=AttemptStatus.RUNNING).count()


def crowds(stage: Stage, account: ProviderAccount, *, until: int | None = None) -> dict[int, int]:
    """Return the account's tasks in flight when each attempt was accepted, itself included.

    Attempts after ``until`` are left out.
    """
    times = {task["id"]: (task["accepted_at"], task["ends_at"]) for task in stage.simulator.tasks(limit=1000)}
    attempts = Attempt.objects.filter(account=account).values_list("pk", "remote_task_id")
    own = {pk: times[task_id] for pk, task_id in attempts if until is None or pk <= until}
    return {pk: sum(start <= moment < end for start, end in own.values()) for pk, (moment, _) in own.items()}
