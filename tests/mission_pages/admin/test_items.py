"""Items in the administration: retry, and the decision about unconfirmed ones."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from missions import execution
from missions.models import MissionItem
from tests.admin_client import act_on, messages_of
from tests.factories import check_mission, make_mission

pytestmark = pytest.mark.django_db


def resolve_url(item):
    return reverse("admin:missions_missionitem_resolve", args=[item.pk])


def test_failed_items_are_retried_others_refused(admin_client, admin_user, mixed):
    failed, completed = mixed.items.get(index=1), mixed.items.get(index=4)
    question = act_on(admin_client, "retry", failed, completed, confirmed=False).content.decode()
    assert "Will cost (estimate): ¥0.05" in question
    assert "Status: completed. It is not possible in this status" in question
    response = act_on(admin_client, "retry", failed, completed)
    assert f"{completed}: Only a failed item can be retried" in messages_of(response)[0]
    failed.refresh_from_db()
    assert failed.status == "pending"
    assert failed.events.latest("pk").actor == f"user:{admin_user.pk}"
    assert LogEntry.objects.get().object_id == str(failed.pk)
    check_mission(mixed.pk)


def test_item_that_never_ran_is_submitted_again(admin_client, admin_user, mixed):
    item = mixed.items.get(index=5)
    page = admin_client.get(resolve_url(item)).content.decode()
    assert "Mark as not run and resubmit (about ¥0.05)" in page
    response = admin_client.post(resolve_url(item), {"found": "nothing", "next": "/admin/"})
    assert response.url == "/admin/"
    item.refresh_from_db()
    assert item.status == "pending"
    event = item.events.latest("pk")
    assert (event.from_status, event.actor) == ("unconfirmed", f"user:{admin_user.pk}")
    assert LogEntry.objects.get().user == admin_user


def test_task_is_attached_and_logged(admin_client, admin_user, owner, workers, simulator):
    simulator.set(paid_drop=1)
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    item = mission.items.get()
    response = admin_client.post(resolve_url(item), {"found": "task", "remote_task_id": simulator.tasks()[0]["id"]})
    assert response.url == reverse("admin:missions_missionitem_change", args=[item.pk])
    event = item.events.filter(from_status="unconfirmed").get()
    assert (event.to_status, event.actor) == ("processing", f"user:{admin_user.pk}")
    assert LogEntry.objects.get().change_message == "admin_task_attached"
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 1


@pytest.mark.parametrize("form", [{"found": "task", "remote_task_id": "../../x"}, {"found": "task"}, {}])
def test_invalid_decision_changes_nothing(admin_client, mixed, form):
    item = mixed.items.get(index=5)
    assert admin_client.post(resolve_url(item), form).status_code in (200, 422)
    item.refresh_from_db()
    assert item.status == "unconfirmed"
    assert not LogEntry.objects.exists()


def test_viewer_cannot_resolve_or_retry(viewer, mixed):
    doubtful, failed = mixed.items.get(index=5), mixed.items.get(index=1)
    assert viewer.get(resolve_url(doubtful)).status_code == 403
    assert viewer.post(resolve_url(doubtful), {"found": "nothing"}).status_code == 403
    act_on(viewer, "retry", failed)
    assert list(MissionItem.objects.filter(pk__in=[doubtful.pk, failed.pk]).values_list("status", flat=True)) == [
        "failed",
        "unconfirmed",
    ]
    for item in (doubtful, failed):
        page = viewer.get(reverse("admin:missions_missionitem_change", args=[item.pk])).content.decode()
        assert "Resolve…" not in page
        assert 'name="action"' not in page


def test_page_shows_attempts_and_actors(admin_client, mixed):
    item = mixed.items.get(index=1)
    act_on(admin_client, "retry", item)
    page = admin_client.get(reverse("admin:missions_missionitem_change", args=[item.pk])).content.decode()
    attempt = item.attempts.get()
    assert attempt.remote_task_id in page
    assert attempt.webhook_token not in page
    assert "· admin" in page
    assert "the engine" in page
    assert "Retried by admin." in page


@pytest.mark.parametrize(
    "query, places",
    [
        ({"q": "{mission}#3"}, [3]),
        ({"q": "{mission}"}, [7, 6, 5, 4, 3, 2, 1]),
        ({"q": "{task}"}, [4]),
        ({"q": "nothing like this"}, []),
        ({"mission": "{mission}"}, [1, 2, 3, 4, 5, 6, 7]),
        ({"mission": "{mission}", "q": "mine"}, [2]),
        ({"mission": "{mission}", "status": "failed", "cause": "1015"}, [1, 2]),
        ({"mission": "x"}, []),
        ({"status": "unconfirmed"}, [5]),
    ],
)
def test_search_finds_items(admin_client, mixed, query, places):
    mixed.items.filter(index=2).update(custom_id="mine")
    task = mixed.items.get(index=4).attempts.get().remote_task_id
    ids = {"mission": str(mixed.pk), "task": task}
    response = admin_client.get(
        reverse("admin:missions_missionitem_changelist"), {name: value.format(**ids) for name, value in query.items()}
    )
    assert [item.index for item in response.context["cl"].result_list] == places
