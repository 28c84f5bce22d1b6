"""Query costs of the engine are independent of items, missions, messages and history."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from missions import account_load, execution, lifecycle, selectors
from missions.models import Attempt
from tests.factories import bring_to, check_mission, claim, make_mission
from tests.query_plans import plans, reads_whole
from workers import queue

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

LONG_TABLES = ("missions_missionitem", "missions_attempt", "missions_output", "missions_itemevent", "missions_mission ")


def statements(act: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


def test_a_mission_of_any_size_is_stored_in_as_many_statements(owner):
    assert statements(lambda: make_mission(owner, 10)) == statements(lambda: make_mission(owner, 3_000))


def test_pause_reads_only_items_with_a_slot(owner, account):
    mission = make_mission(owner, 3_000)
    prepared, sending = claim(mission, account, 2)
    bring_to("sending", sending)
    with plans() as lines:
        assert lifecycle.pause(mission.pk, actor="user:7", reason="test") == [sending]
    assert len([line for line in lines if "item_mission_status" in line]) == 2
    assert Attempt.objects.get(pk=prepared).status == "void"
    check_mission(mission.pk)


def test_due_counts_of_many_missions_cost_one_statement(owner, account, django_assert_num_queries):
    missions = [make_mission(owner, 3) for _ in range(5)]
    later = timezone.now() + timedelta(minutes=1)
    missions[0].items.filter(index__gt=1).update(available_at=later)
    with django_assert_num_queries(1):
        due = account_load.due_counts(missions, now=timezone.now(), limit=20)
    assert list(due.values()) == [1, 3, 3, 3, 3]


def test_slots_in_use_are_counted_without_history(account, history):
    long_ago = Attempt.objects.filter(status="succeeded")[:1000].values_list("pk", flat=True)
    Attempt.objects.filter(pk__in=list(long_ago)).update(
        account=account, status="unconfirmed", sending_at=timezone.now() - timedelta(days=9)
    )
    with plans() as lines:
        account_load.slots_in_use(account, now=timezone.now(), limit=50)
    assert not [line for line in lines if "missions_missionitem" in line or "item_" in line]
    assert any("attempt_in_doubt" in line for line in lines)


def test_recovery_does_not_read_history(owner, account, history):
    mission = make_mission(owner, 2)
    for status, attempt_id in zip(("prepared", "sending"), claim(mission, account, 2), strict=True):
        bring_to(status, attempt_id)
    with plans() as lines:
        execution.recover()
    assert not reads_whole(lines, *LONG_TABLES)
    assert list(mission.items.values_list("status", flat=True)) == ["pending", "unconfirmed"]


def test_attach_looks_up_the_task_by_its_index(owner, account, history, simulator):
    mission = make_mission(owner, 1)
    [attempt_id] = claim(mission, account)
    bring_to("unconfirmed", attempt_id)
    with plans() as lines:
        assert execution.attach(attempt_id, "1234567890123456789") is False
    assert not reads_whole(lines, *LONG_TABLES)
    assert any("remote_task_has_one_attempt" in line for line in lines)


def test_notifications_read_only_files_that_are_not_stored(owner, history):
    mission = make_mission(owner, 1)
    with plans() as lines:
        selectors.describe_missions([mission.pk], {})
    reads = [line for line in lines if re.search(r"(on|SCAN|SEARCH) missions_output", line)]
    assert reads
    assert all("output_due" in line for line in reads), reads


def test_tasks_due_close_together_are_polled_together(owner, workers, simulator, account, settings):
    settings.POLL_FLOOR_SECONDS = 2.0
    bring_to("running", claim(make_mission(owner, 1), account)[0])
    before = timezone.now()
    Attempt.objects.update(next_poll_at=before + timedelta(seconds=0.03))
    execution.arm(account.pk)
    workers.play("tick")
    [tick] = [row for row in OrmQ.objects.all() if "tick" in SignedPackage.loads(row.payload)["func"]]
    assert tick.lock >= before + timedelta(seconds=0.1)


def test_a_message_is_fetched_without_sorting_those_that_wait():
    for number in range(300):
        queue.send("dispatch", number)
    with plans() as lines:
        assert len(get_broker().dequeue()) == 10
    assert not [line for line in lines if "TEMP B-TREE" in line or "Sort" in line]


def test_messages_of_a_cluster_come_before_common_ones():
    queue.send("dispatch", 1)
    queue.send_canary()
    [(_, own)] = get_broker().dequeue()
    assert "canary" in SignedPackage.loads(own)["func"]
