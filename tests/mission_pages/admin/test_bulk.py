"""Actions on all missions that match a filter: more than a page, done in steps."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from accounts.audit.models import AuditEntry
from core.admin import bulk, readonly
from core.models import BulkAction
from missions.models import Mission, MissionItem
from operations import tasks
from tests.factories import make_member, make_mission
from tests.interleaving import meanwhile

pytestmark = pytest.mark.django_db
LIST = "/admin/missions/mission/"
COUNT = readonly.LATEST + 10


@pytest.fixture
def many(owner: User) -> list[Mission]:
    return [make_mission(owner, name=f"Mission {number}") for number in range(COUNT)]


@pytest.fixture
def step_ids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a request do only one step. Return the ids of the actions sent to the workers."""
    ids: list[int] = []
    monkeypatch.setattr(bulk, "INLINE_SECONDS", 0)
    monkeypatch.setattr(bulk, "_send", [ids.append])
    return ids


def ask(client: Client, action: str, first: Mission, query: str = "") -> Any:
    form = {"action": action, "select_across": "1", "index": "0", "_selected_action": [first.pk]}
    return client.post(LIST + query, form)


def confirm(client: Client, page: Any) -> Any:
    """Send the form of a confirmation page."""
    html = page.content.decode()
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', html))
    form.pop("csrfmiddlewaretoken", None)
    return client.post(LIST, form)


def work(step_ids: list[int]) -> None:
    while step_ids:
        tasks.bulk_step(step_ids.pop())


def test_all_that_match_are_paused(owner, stranger, admin_client, admin_user, many, step_ids):
    other = make_mission(stranger)
    page = ask(admin_client, "pause", many[0], f"?owner__id__exact={owner.pk}")
    html = page.content.decode()
    assert f"{COUNT} rows will be changed; 10 of the chosen rows are not shown here" in html
    assert "¥0.00" in html
    assert not Mission.objects.filter(status="paused").exists()

    answer = confirm(admin_client, page)

    [bulk_id] = step_ids
    assert answer.url == f"/admin/core/bulkaction/{bulk_id}/change/"
    assert Mission.objects.filter(status="paused").count() == bulk.STEP
    assert f"Done for {bulk.STEP} of {COUNT}" in admin_client.get(answer.url).content.decode()
    work(step_ids)
    assert Mission.objects.filter(status="paused").count() == COUNT
    other.refresh_from_db()
    assert other.status == "queued"
    page = admin_client.get(answer.url).content.decode()
    assert f"Done for {COUNT} of {COUNT}" in page
    assert "Finished" in page
    assert LogEntry.objects.filter(user=admin_user).count() == COUNT
    assert AuditEntry.objects.filter(verb="mission.pause", person_name="admin").count() == COUNT


def test_confirmation_counts_once(admin_client, many, step_ids):
    page = ask(admin_client, "pause", many[0])
    confirm(admin_client, page)
    work(step_ids)
    again = confirm(admin_client, page)
    assert again.status_code == 302
    assert not step_ids
    assert LogEntry.objects.count() == COUNT


def test_retry_pays_for_what_was_shown(admin_client, many, step_ids):
    MissionItem.objects.update(status="failed", error_code="1011", ended_at=timezone.now())
    Mission.objects.update(failed_count=1, pending_count=0, status="failed")
    page = ask(admin_client, "retry", many[0])
    assert f"¥{COUNT * 0.05:.2f}" in page.content.decode()
    late = Mission.objects.order_by("-pk").first()
    assert late is not None
    MissionItem.objects.create(mission=late, index=2, status="failed", params={}, ended_at=timezone.now())
    Mission.objects.filter(pk=late.pk).update(failed_count=2, total_count=2)

    confirm(admin_client, page)
    work(step_ids)

    row = BulkAction.objects.get()
    assert (row.done_count, row.refused_count) == (COUNT - 1, 1)
    assert "More items have failed meanwhile" in row.refusals[0]


def test_lost_step_is_not_repeated(admin_client, many, step_ids):
    confirm(admin_client, ask(admin_client, "pause", many[0]))
    [bulk_id] = step_ids
    step_ids.clear()
    BulkAction.objects.update(position=F("position") + bulk.STEP)  # a worker died in the middle
    bulk.resend_stalled(timezone.now())
    assert not step_ids
    bulk.resend_stalled(timezone.now() + bulk.STALLED_AFTER + timedelta(seconds=1))
    work(step_ids)
    row = BulkAction.objects.get(pk=bulk_id)
    assert (row.done_count, row.lost_count) == (COUNT - bulk.STEP, bulk.STEP)
    assert (
        f"{bulk.STEP} were left out" in admin_client.get(f"/admin/core/bulkaction/{bulk_id}/change/").content.decode()
    )


def test_inactive_operator_stops_the_rest(admin_client, admin_user, many, step_ids):
    confirm(admin_client, ask(admin_client, "pause", many[0]))
    User.objects.filter(pk=admin_user.pk).update(is_active=False)
    work(step_ids)
    assert Mission.objects.filter(status="paused").count() == bulk.STEP


def test_rights_that_are_taken_away_stop_the_rest(admin_client, admin_user, many, step_ids):
    confirm(admin_client, ask(admin_client, "pause", many[0]))
    User.objects.filter(pk=admin_user.pk).update(is_superuser=False)
    work(step_ids)
    assert Mission.objects.filter(status="paused").count() == bulk.STEP
    assert BulkAction.objects.get().finished_at is not None


def test_bulk_needs_rights_and_owner(admin_client, viewer, many, step_ids, client):
    assert "pause" not in str(viewer.get(LIST).context["action_form"])
    ask(viewer, "pause", many[0])
    assert not BulkAction.objects.exists()
    page = ask(admin_client, "pause", many[0])
    client.force_login(make_member("Operators"))
    confirm(client, page)  # of another person
    assert not Mission.objects.filter(status="paused").exists()
    url = f"/admin/core/bulkaction/{BulkAction.objects.get().pk}/change/"
    assert client.get(url).status_code == 403


def test_missions_are_deleted_with_the_right(admin_client, many):
    first = many[0]
    client = Client()
    client.force_login(make_member("Viewers"))
    client.post(LIST, {"action": "delete", "_selected_action": [first.pk], "confirmed": "1"})
    assert Mission.objects.filter(pk=first.pk).exists()
    form = {"action": "delete", "_selected_action": [first.pk]}
    assert "all result files are deleted" in admin_client.post(LIST, form).content.decode()
    admin_client.post(LIST, form | {"confirmed": "1"})
    assert not Mission.objects.filter(pk=first.pk).exists()
    assert AuditEntry.objects.filter(verb="mission.delete", object_id=str(first.pk), person_name="admin").exists()


def test_too_many_are_not_offered(admin_client, many, step_ids, monkeypatch):
    monkeypatch.setattr(readonly, "MAX_COUNT", COUNT - 1)
    monkeypatch.setattr(bulk, "MAX_COUNT", COUNT - 1)
    page = admin_client.get(LIST).content.decode()
    assert "across all pages" not in page
    answer = ask(admin_client, "pause", many[0])
    assert answer.status_code == 302
    assert not BulkAction.objects.exists()
    monkeypatch.setattr(readonly, "MAX_COUNT", COUNT)
    assert f"Select all {COUNT}" in admin_client.get(LIST).content.decode()


def test_busy_database_leaves_out_one_row(admin_client, many, step_ids):
    victim = many[5].pk

    def be_busy_once(execute: Any, sql: str, params: Any, *more: Any) -> Any:
        if not errors and sql.startswith('UPDATE "missions_mission"') and victim in params:
            errors.append(OperationalError("database is locked"))
            raise errors[0]
        return execute(sql, params, *more)

    errors: list[OperationalError] = []
    page = ask(admin_client, "pause", many[0])
    with connection.execute_wrapper(be_busy_once):
        confirm(admin_client, page)
        work(step_ids)
    row = BulkAction.objects.get()
    assert (row.done_count, row.refused_count, row.lost_count) == (COUNT - 1, 1, 0)
    assert "the database did not answer" in row.refusals[0]
    assert list(Mission.objects.exclude(status="paused").values_list("pk", flat=True)) == [victim]


def test_row_that_is_deleted_meanwhile_stops_nothing(admin_client, many, step_ids):
    page = ask(admin_client, "pause", many[0])
    with meanwhile("SAVEPOINT", "", many[0].delete, is_before=True):
        confirm(admin_client, page)
    work(step_ids)
    assert (BulkAction.objects.get().lost_count, Mission.objects.exclude(status="paused").count()) == (1, 0)
    form = {"action": "resume", "_selected_action": [many[1].pk], "confirmed": "1"}
    with meanwhile("SAVEPOINT", "", many[1].delete, is_before=True):
        page = admin_client.post(LIST, form, follow=True)
    assert "It was deleted meanwhile." in page.content.decode()
