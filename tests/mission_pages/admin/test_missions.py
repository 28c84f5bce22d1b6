"""Actions of operators on missions: confirmed first, done by services, logged with the user."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from missions.models import Mission, MissionItem
from tests.admin_client import act_on, messages_of
from tests.factories import check_mission, make_mission

pytestmark = pytest.mark.django_db

ALL = {"pause": "paused", "cancel": "cancelled", "retry": "running", "recount": "running"}


def facts():
    return list(Mission.objects.order_by("pk").values()), list(MissionItem.objects.order_by("pk").values())


def page_of(mission):
    return reverse("admin:missions_mission_change", args=[mission.pk])


@pytest.mark.parametrize("verb", ALL)
def test_action_is_confirmed_done_and_logged(admin_client, admin_user, mixed, verb):
    before = facts()
    question = act_on(admin_client, verb, mixed, confirmed=False).content.decode()
    assert "What will happen" in question
    assert facts() == before
    assert not LogEntry.objects.exists()

    response = act_on(admin_client, verb, mixed, next=page_of(mixed), **{f"most-{mixed.pk}": mixed.failed_count})

    assert response.url == page_of(mixed)
    mixed.refresh_from_db()
    assert mixed.status == ALL[verb]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (admin_user, str(mixed.pk))
    assert entry.change_message.startswith("admin_")
    if verb != "recount":  # which moves nothing
        assert mixed.events.latest("pk").actor == f"user:{admin_user.pk}"
    check_mission(mixed.pk)


def test_paused_mission_is_resumed(admin_client, admin_user, mixed):
    act_on(admin_client, "pause", mixed)
    assert "1 pending item is submitted" in act_on(admin_client, "resume", mixed, confirmed=False).content.decode()
    act_on(admin_client, "resume", mixed)
    mixed.refresh_from_db()
    assert mixed.status == "running"
    assert mixed.events.latest("pk").actor == f"user:{admin_user.pk}"


def test_confirmation_shows_committed_money(admin_client, mixed):
    question = act_on(admin_client, "cancel", mixed, confirmed=False).content.decode()
    assert "1 item that was not submitted yet is cancelled and costs nothing." in question
    assert "1 item is in flight at the provider and is paid" in question
    assert "1 item is unconfirmed: it may have been paid" in question
    assert "Already committed (estimate): ¥0.10" in question


def test_refusal_does_not_stop_other_rows(admin_client, owner, mixed):
    paused, other = make_mission(owner, name="Paused already"), make_mission(owner, name="Ready")
    act_on(admin_client, "pause", paused)
    response = act_on(admin_client, "pause", paused, other)
    assert "Paused already: A mission that is paused cannot be paused." in messages_of(response)
    other.refresh_from_db()
    assert other.status == "paused"
    assert LogEntry.objects.count() == 2


def test_confirmation_shows_refusals(admin_client, mixed):
    question = act_on(admin_client, "resume", mixed, confirmed=False).content.decode()
    assert "Status: running. It is not possible in this status, and nothing changes." in question


def test_retry_of_one_cause_leaves_others(admin_client, mixed):
    cause = {"error_code": "1015", "has_code": "1"}
    question = act_on(admin_client, "retry", mixed, confirmed=False, **cause).content.decode()
    assert "2 failed items are submitted again" in question
    assert 'name="error_code" value="1015"' in question
    act_on(admin_client, "retry", mixed, **cause, **{f"most-{mixed.pk}": 2})
    assert list(mixed.items.filter(status="failed").values_list("index", flat=True)) == [3]


@pytest.mark.parametrize("most", ["2", "", "x"])
def test_retry_never_exceeds_confirmed_count(admin_client, mixed, most):
    response = act_on(admin_client, "retry", mixed, **{f"most-{mixed.pk}": most})
    assert "More items have failed meanwhile" in messages_of(response)[0]
    mixed.refresh_from_db()
    assert mixed.failed_count == 3


def test_wrong_counts_are_shown_and_corrected(admin_client, owner):
    mission = make_mission(owner, 3)
    Mission.objects.filter(pk=mission.pk).update(pending_count=2, failed_count=1)
    question = act_on(admin_client, "recount", mission, confirmed=False).content.decode()
    assert "pending_count is 2, but should be 3." in question
    act_on(admin_client, "recount", mission)
    mission.refresh_from_db()
    assert (mission.pending_count, mission.failed_count) == (3, 0)


def test_page_shows_state_and_next_steps(admin_client, mixed):
    page = admin_client.get(page_of(mixed)).content.decode()
    assert "1 item is unconfirmed" in page
    assert "3 items failed" in page
    assert "Retry these 2 (about ¥0.10)" in page
    assert reverse("admin:missions_missionitem_resolve", args=[mixed.items.get(index=5).pk]) in page
    assert f"?mission={mixed.pk}&amp;status=unconfirmed" in page


def test_page_of_large_mission_stays_cheap(admin_client, owner, django_assert_max_num_queries):
    mission = make_mission(owner, 1500)
    with django_assert_max_num_queries(20):
        page = admin_client.get(page_of(mission)).content.decode()
    assert len(page) < 40_000


def test_get_requests_change_nothing(admin_client, mixed):
    before = facts()
    item = mixed.items.get(index=5)
    for name, pk in (("mission_change", mixed.pk), ("missionitem_change", item.pk), ("missionitem_resolve", item.pk)):
        assert admin_client.get(reverse(f"admin:missions_{name}", args=[pk])).status_code == 200
    assert admin_client.get(reverse("admin:missions_mission_changelist"), {"action": "cancel"}).status_code in (
        200,
        302,
    )
    assert facts() == before


@pytest.mark.parametrize("verb", [*ALL, "resume"])
def test_viewer_has_no_actions(viewer, mixed, verb):
    before = facts()
    act_on(viewer, verb, mixed, **{f"most-{mixed.pk}": 3})
    assert facts() == before
    assert not LogEntry.objects.exists()
    changelist = viewer.get(reverse("admin:missions_mission_changelist")).content.decode()
    assert mixed.name in changelist
    assert 'name="action"' not in changelist
    assert 'name="action"' not in viewer.get(page_of(mixed)).content.decode()


def test_history_is_in_the_readers_language(admin_client, mixed):
    act_on(admin_client, "pause", mixed)
    history = reverse("admin:missions_mission_history", args=[mixed.pk])
    assert "Paused in the administration." in admin_client.get(history).content.decode()
    chinese = admin_client.get(history, headers={"Accept-Language": "zh-CN"}).content.decode()
    assert "在管理后台暂停。" in chinese
