"""People who leave: inactive ones stop spending, deletion is refused while they have missions."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts import people, services
from core.errors import NotPossible
from missions import execution
from missions import services as mission_services
from missions.models import Attempt, Mission
from tests.factories import bring_to, claim, make_media, make_mission

pytestmark = pytest.mark.django_db


def user_form(client: Client, person: User, **changes: Any) -> dict[str, Any]:
    form = client.get(f"/admin/auth/user/{person.pk}/change/").context["adminform"].form
    values = {name: value for name, value in form.initial.items() if value not in (None, False, [])}
    values |= {"last_login_0": "", "last_login_1": "", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    values |= {"spending_limit-TOTAL_FORMS": 0, "spending_limit-INITIAL_FORMS": 0}
    return {name: value for name, value in (values | changes).items() if value is not None}


def test_inactive_person_stops_at_once(owner, stranger, account, admin_client):
    running, waiting = make_mission(owner, 3), make_mission(owner, 2)
    other = make_mission(stranger)
    [attempt_id] = claim(running, account, 1)
    bring_to("running", attempt_id)
    prepared = claim(running, account, 1)
    _token, secret = services.create_token(user=owner, name="ci")
    page = admin_client.get(f"/admin/auth/user/{owner.pk}/change/").content.decode()
    assert "missions are paused at once" in page

    answer = admin_client.post(
        f"/admin/auth/user/{owner.pk}/change/", user_form(admin_client, owner, is_active=None), follow=True
    )

    assert "2 missions were paused" in answer.content.decode()
    for mission in (running, waiting):
        mission.refresh_from_db()
        assert (mission.status, mission.pause_reason_code) == ("paused", "owner_inactive")
        assert "mei was made inactive" in mission.pause_reason_display
    other.refresh_from_db()
    assert other.status == "queued"
    assert services.authenticate(secret) is None
    assert not Attempt.objects.filter(pk__in=prepared, status="prepared").exists()
    assert Attempt.objects.get(pk=attempt_id).status == "running"
    execution.dispatch(account.pk)
    assert not Attempt.objects.filter(item__mission__owner=owner, status="prepared").exists()


def test_nothing_goes_on_for_inactive_people(owner, account, admin_client):
    mission = make_mission(owner, 2)
    [attempt_id] = claim(mission, account, 1)
    bring_to("failed", attempt_id)
    people.set_active(owner, False)
    for act in (
        lambda: mission_services.resume_mission(mission_id=mission.pk, actor="user:1"),
        lambda: mission_services.retry_failed(mission_id=mission.pk, actor="user:1"),
        lambda: mission_services.retry_item(item=mission.items.get(index=1), actor="user:1"),
    ):
        with pytest.raises(NotPossible, match="mei is inactive"):
            act()
    people.set_active(owner, True)
    mission.refresh_from_db()
    assert mission.status == "paused"
    mission_services.resume_mission(mission_id=mission.pk, actor="user:1")


def test_reaper_stops_those_made_inactive_in_a_shell(owner, account):
    mission = make_mission(owner)
    User.objects.filter(pk=owner.pk).update(is_active=False)
    execution.reap(account.pk)
    mission.refresh_from_db()
    assert (mission.status, mission.pause_reason_code) == ("paused", "owner_inactive")


def test_deletion_says_what_to_do(owner, stranger, admin_client, django_assert_max_num_queries):
    for _number in range(30):
        make_mission(owner, 20)
    make_mission(stranger)
    url = f"/admin/auth/user/{owner.pk}/delete/"
    with django_assert_max_num_queries(30):
        page = admin_client.get(url).content.decode()
    assert "mei has 30 missions" in page
    assert "inactive instead" in page
    assert admin_client.post(url, {"post": "yes"}).status_code in (200, 403)
    listed = {"action": "delete_selected", "_selected_action": [owner.pk, stranger.pk]}
    page = admin_client.post("/admin/auth/user/", listed).content.decode()
    assert "mei has 30 missions" in page
    assert "stranger has 1 mission" in page
    admin_client.post("/admin/auth/user/", listed | {"post": "yes"})
    assert User.objects.filter(pk__in=[owner.pk, stranger.pk]).count() == 2
    with pytest.raises(people.HasWork):
        people.delete_person(owner)


def test_person_without_missions_is_deleted(owner, admin_client):
    make_media(owner)
    services.create_token(user=owner, name="ci")
    page = admin_client.get(f"/admin/auth/user/{owner.pk}/delete/").content.decode()
    assert "media files: 1" in page
    assert "API tokens: 1" in page
    admin_client.post(f"/admin/auth/user/{owner.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=owner.pk).exists()


def test_list_shows_work_and_makes_inactive(owner, stranger, admin_client):
    make_mission(owner)
    page = admin_client.get("/admin/auth/user/").content.decode()
    assert "1 mission" in page
    form = {"action": "deactivate", "_selected_action": [owner.pk, stranger.pk]}
    admin_client.post("/admin/auth/user/", form)
    assert not User.objects.filter(pk__in=[owner.pk, stranger.pk], is_active=True).exists()
    assert Mission.objects.get().status == "paused"
