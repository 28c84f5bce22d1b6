"""The buttons of a mission's pages."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.utils import timezone

from missions import execution
from missions.models import Mission, Output
from templates_app.models import MissionTemplate
from tests.factories import bring_to, claim, make_mission
from tests.result_factories import run

ACTIONS = [
    *("retry", "cancel", "delete", "pause", "resume", "change", "template", "star", "tags", "selection.zip"),
    *("items/1/retry", "items/5/attach", "items/5/not-run"),
    *("again", "use", "start", "reschedule", "failures/mend", "items/4/run", "items/4/choose", "items/4/tags"),
]


def messages_of(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.fixture
def act(mixed, web):
    """Post an action to the mission, and reload it."""

    def post(action, **data):
        response = web.post(f"/missions/{mixed.pk}/{action}", data)
        mixed.refresh_from_db()
        return response

    return post


@pytest.mark.parametrize("action", ACTIONS)
def test_stranger_changes_nothing(mixed, strange_web, action):
    before = Mission.objects.values().get(pk=mixed.pk)
    assert strange_web.post(f"/missions/{mixed.pk}/{action}", {"at_most": 3, "name": "x"}).status_code == 404
    assert Mission.objects.values().get(pk=mixed.pk) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_get_changes_nothing(mixed, web, action):
    before = Mission.objects.values().get(pk=mixed.pk)
    assert web.get(f"/missions/{mixed.pk}/{action}").status_code in (200, 405)
    assert Mission.objects.values().get(pk=mixed.pk) == before


def test_pause_and_resume_return_to_next(act, mixed):
    response = act("pause", next="/missions?page=2")
    assert (response.status_code, response.url, mixed.status) == (302, "/missions?page=2", "paused")
    response = act("resume")
    assert (response.url, mixed.status) == (f"/missions/{mixed.pk}", "running")


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_next_is_always_local(act, mixed, url):
    assert act("pause", next=url).url == f"/missions/{mixed.pk}"


def test_impossible_action_is_explained(act):
    assert "running cannot be resumed" in messages_of(act("resume"))[0]


def test_cancel_asks_first(mixed, web, act):
    page = web.get(f"/missions/{mixed.pk}/cancel").content.decode()
    assert "1 item not sent yet will be cancelled at no cost" in page
    assert "Cancelled. 1 item" in messages_of(act("cancel"))[0]
    assert mixed.status == "cancelled"


def test_delete_asks_first(web, owner):
    mission = make_mission(owner, 3, name="Old")
    run(mission, [b"picture"], [b"picture"])
    page = web.get(f"/missions/{mission.pk}/delete").content.decode()
    assert "the files of 2 completed items" in page
    assert "1 item not sent yet" in page
    assert Mission.objects.filter(pk=mission.pk).exists()
    response = web.post(f"/missions/{mission.pk}/delete")
    assert response.url == "/missions"
    assert messages_of(response) == ["“Old” and its files were deleted."]
    assert not Mission.objects.filter(pk=mission.pk).exists()


def test_retry_all_or_one_cause(act, mixed):
    assert messages_of(act("retry", error_code="1015", has_code="1", at_most=2)) == ["2 items resubmitted."]
    assert mixed.failed_count == 1
    assert messages_of(act("retry", at_most=1))[-1] == "1 item resubmitted."
    assert mixed.failed_count == 0


def test_retry_keeps_to_the_count_on_the_button(act, mixed):
    assert "More items have failed" in messages_of(act("retry", at_most=2))[0]
    assert mixed.failed_count == 3


@pytest.mark.parametrize("data", [{}, {"at_most": "x"}, {"at_most": "0"}, {"error_code": "1015"}])
def test_retry_without_a_count_does_nothing(act, mixed, data):
    assert "Nothing was retried" in messages_of(act("retry", **data))[0]
    assert mixed.failed_count == 3


def test_second_click_retries_nothing(act, mixed):
    act("retry", at_most=3)
    assert "Nothing was retried" in messages_of(act("retry", at_most=3))[-1]


def test_settings_are_saved(act, mixed):
    response = act("change", name=" New ", description="why", priority="-10")
    assert response.status_code == 302
    assert (mixed.name, mixed.description, mixed.priority) == ("New", "why", -10)


def test_one_scale_of_priorities_keeps_that_of_a_program(act, web, mixed):
    Mission.objects.filter(pk=mixed.pk).update(priority=7)
    page = web.get(f"/missions/{mixed.pk}/settings").content.decode()
    words = ("High", "Set by a program: 7", "Normal", "Low")
    places = [page.index(f">{word}</option>") for word in words]
    assert places == sorted(places)
    assert act("change", name="Same", priority="7").status_code == 302
    assert act("change", name="Same", priority="8").status_code == 422


def test_invalid_settings_keep_their_texts(act, mixed):
    response = act("change", name="", description="a long thought", priority="1000")
    assert response.status_code == 422
    assert "a long thought" in response.content.decode()
    assert mixed.priority == 0


def test_mission_becomes_a_template(act, owner):
    response = act("template", **{"template-name": "Teapots again", "template-description": "from a mission"})
    assert response.status_code == 302
    template = MissionTemplate.objects.get()
    assert (template.owner, template.name, template.config["params"]) == (
        owner,
        "Teapots again",
        {"aspectRatio": "3:4"},
    )


def test_template_name_must_be_new(act):
    act("template", **{"template-name": "Teapots"})
    response = act("template", **{"template-name": "Teapots"})
    assert response.status_code == 422
    assert "already have a template named Teapots" in response.content.decode()


def test_results_are_starred(web, owner):
    mission = make_mission(owner, 2)
    run(mission, ["one"], ["two"])
    web.post(f"/missions/{mission.pk}/star", {"item": ["1", "2"], "starred": "1"})
    assert Output.objects.filter(is_starred=True).count() == 2
    answer = web.post(
        f"/missions/{mission.pk}/star", {"item": "1", "starred": "0"}, headers={"Accept": "application/json"}
    )
    assert (answer.json()["starred"], answer.json()["count"]) == (False, 1)
    assert list(Output.objects.filter(is_starred=True).values_list("item__index", flat=True)) == [2]


def test_selection_is_an_archive(web, owner):
    mission = make_mission(owner, ["fox", "owl", "cat"], name="Zoo/1")
    run(mission, [b"fox picture"], [b"owl picture"], [b"cat picture"])
    response = web.post(f"/missions/{mission.pk}/selection.zip", {"item": ["1", "3", "junk", "99"]})
    content = response.getvalue()
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert [Path(name).stem[:4] for name in archive.namelist()] == ["1_fo", "3_ca", "mani"]
    assert "Zoo_1_selection.zip" in response["Content-Disposition"]
    assert int(response["Content-Length"]) == len(content)


def test_empty_selection_is_explained(web, mixed):
    response = web.post(f"/missions/{mixed.pk}/selection.zip")
    assert "Select results" in messages_of(response)[0]


def test_a_reached_limit_is_raised_where_it_stopped(owner, account, web):
    mission = make_mission(owner, 3, spending_limit=Decimal("0.05"))
    bring_to("succeeded", claim(mission, account)[0])
    execution.dispatch(account.pk)
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert "Raise and resume" in page
    assert 'value="0.15"' in page
    path = f"/missions/{mission.pk}/resume"
    assert "does not cover the next item" in messages_of(web.post(path))[-1]
    assert "does not cover the next item" in messages_of(web.post(path, {"spending_limit": "0.06"}))[-1]
    assert messages_of(web.post(path, {"spending_limit": "0.15"}))[-1] == "Resumed."
    mission.refresh_from_db()
    assert (mission.status, mission.spending_limit) == ("running", Decimal("0.15"))


def test_a_planned_start_is_changed_and_skipped(owner, web):
    start = timezone.now() + timedelta(days=1)
    mission = make_mission(owner, 1, not_before=start)
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert "Start now" in page
    later = timezone.localtime(start + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    path = f"/missions/{mission.pk}/reschedule"
    assert messages_of(web.post(path, {"not_before": later}))[-1] == "The planned start was changed."
    mission.refresh_from_db()
    assert timezone.localtime(mission.not_before).strftime("%Y-%m-%dT%H:%M") == later
    assert "That time is in the past." in messages_of(web.post(path, {"not_before": "2020-01-01T10:00"}))[-1]
    assert "valid date" in messages_of(web.post(path, {"not_before": "soon"}))[-1]
    assert messages_of(web.post(f"/missions/{mission.pk}/start"))[-1] == "Started."
    assert "cannot be started" in messages_of(web.post(f"/missions/{mission.pk}/start"))[-1]
    mission.refresh_from_db()
    assert mission.status == "queued"
