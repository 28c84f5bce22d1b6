"""Three first, then the rest: the form, the mission's page, the change of the rest, and the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.test import Client

from drafts.services import new_key
from missions import execution
from missions.models import Attempt, Mission
from providers.models import ProviderAccount
from tests.factories import bring_to, make_media, make_mission
from tests.missions.api.client import Api

PROMPTS = "\n".join(f"a teapot, number {number}" for number in range(1, 11))


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def run_first(account: ProviderAccount) -> None:
    execution.dispatch(account.pk)
    for attempt_id in Attempt.objects.filter(status="prepared").values_list("pk", flat=True):
        bring_to("succeeded", attempt_id)


def test_the_form_names_both_prices_and_submits_the_first(web: Client, db: None):
    form = {"draft": new_key(), "prompts": PROMPTS, "has_first": "on", "run_first": "3"}
    page = web.post("/missions/new", form | {"action": "preview"}, headers={"HX-Request": "true"})
    shown = page.content.decode()
    assert "First 3: ¥0.15 now. The other 7: ¥0.35 after you release them." in shown
    assert "Submit the first 3 rows (about ¥0.15)" in shown
    quoted = {"quoted_total": page.context["preview"].quoted_total, "action": "submit"}
    changed = web.post("/missions/new", form | quoted | {"run_first": "4"})
    assert (changed.status_code, Mission.objects.count()) == (422, 0)  # another number, another price
    page = web.post("/missions/new", form | {"action": "preview"}, headers={"HX-Request": "true"})
    assert web.post("/missions/new", form | quoted).status_code == 302
    mission = Mission.objects.get()
    assert (mission.run_first, mission.held_count, mission.total_count) == (3, 7, 10)


def test_unchecked_or_too_many_first_rows_submit_all(web: Client, db: None):
    for more in ({"run_first": "3"}, {"run_first": "10", "has_first": "on"}):
        key = new_key()
        form = {"draft": key, "prompts": PROMPTS, **more}
        preview = web.post("/missions/new", form | {"action": "redraw"}).context["preview"]
        assert web.post("/missions/new", form | {"action": "submit", "quoted_total": preview.quoted_total}).status_code
        mission = Mission.objects.latest("pk")
        assert (mission.total_count, mission.held_count) == (10, 0)


def test_a_blank_number_of_first_rows_is_the_usual_one(web: Client, db: None):
    form = {"draft": new_key(), "prompts": PROMPTS, "has_first": "on", "run_first": ""}
    page = web.post("/missions/new", form | {"action": "redraw"})
    assert 'id="id_run_first" min="1" max="50000" value="3"' in page.content.decode()
    assert page.context["preview"].run_first == 3  # not all rows, which would cost more than the page shows


def test_the_page_releases_for_the_price_it_shows(web: Client, owner, account: ProviderAccount):
    mission = make_mission(owner, 10, run_first=3)
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert "The first 3 rows are running. The others wait for you." in page
    run_first(account)
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert "3 of 10 made. Look at them, then release the rest." in page
    assert "Release 7 items (about ¥0.35)" in page
    assert f'action="/missions/{mission.pk}/resume"' not in page
    assert "Look and release" in web.get("/missions").content.decode()
    for price, words in (("0.34", "The price of the rest has changed"), ("0.35", "7 items released.")):
        answer = web.post(f"/missions/{mission.pk}/release", {"at_most": price})
        assert words in messages_of(answer)[-1]
    mission.refresh_from_db()
    assert (mission.status, mission.held_count) == ("running", 0)
    assert "release the rest" not in web.get(f"/missions/{mission.pk}").content.decode()


def test_a_restore_warns_of_a_release_after_the_backup(web: Client, owner, account: ProviderAccount):
    mission = make_mission(owner, 10, run_first=3)
    run_first(account)
    call_command("after_restore")
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert "items that are pending here may have been sent and charged" in page
    assert "3 of 10 made. Look at them, then release the rest." in page


def test_the_rest_is_changed_after_a_look_at_the_changes(web: Client, owner, account: ProviderAccount):
    mission = make_mission(owner, 10, run_first=3)
    run_first(account)
    path = f"/missions/{mission.pk}/rest"
    page = web.get(path)
    form = {field.html_name: field.value() or "" for field in page.context["form"]}
    form |= {"text_after": ",\r\nat night", "param-aspectRatio": "16:9"}
    shown = web.post(path, form | {"action": "preview"}).content.decode()
    assert "7 items change" in shown
    assert "a teapot, number 4,\nat night" in shown
    assert mission.items.get(index=4).params["prompt"] == "a teapot, number 4"
    answer = web.post(path, form | {"action": "save"})
    assert messages_of(answer) == ["7 items changed. Nothing is sent until you release the rest."]
    item = mission.items.get(index=10)
    assert item.params == {"prompt": "a teapot, number 10,\nat night", "aspectRatio": "16:9"}
    refused = web.post(path, form | {"action": "save", "param-aspectRatio": "7:7"})
    assert refused.status_code == 422
    web.post(f"/missions/{mission.pk}/release")
    assert web.get(path).status_code == 302


def test_a_change_of_the_rest_keeps_shared_pictures(web: Client, owner, account: ProviderAccount):
    image = make_media(owner).reference
    rows = [{"imageUrls": [image], "prompt": f"in ink {number}"} for number in range(3)]
    mission = make_mission(owner, rows, task_type="image_to_image", run_first=1)
    Mission.objects.filter(pk=mission.pk).update(params=mission.params | {"imageUrls": [image]})
    for item in mission.items.all():
        mission.items.filter(pk=item.pk).update(params={"prompt": item.params["prompt"]})
    path = f"/missions/{mission.pk}/rest"
    form = {field.html_name: field.value() or "" for field in web.get(path).context["form"]}
    web.post(path, form | {"find": "ink", "replace": "oil", "action": "save"})
    mission.refresh_from_db()
    assert mission.params["imageUrls"] == [image]
    assert [item.params for item in mission.items.order_by("index")][1:] == [{"prompt": f"in oil {n}"} for n in (1, 2)]


@pytest.mark.django_db
def test_programs_release_once_and_change_the_rest(api: Api, account: ProviderAccount):
    body = {"name": "Tea", "task_type": "text_to_image", "config": {"batch_input": PROMPTS.splitlines()}}
    checked = api.post("?validate_only=true", body | {"run_first": 3}).json()["data"]
    assert checked["first_estimate"] == {"amount": "0.15", "currency": "CNY"}
    assert api.post("?validate_only=true", body).json()["data"]["first_estimate"] is None
    mission_id = api.post("", body | {"run_first": 3}).json()["data"]["api_mission_id"]
    run_first(account)
    data = api.get(f"/{mission_id}").json()["data"]
    assert (data["status"], data["pause_reason_code"]) == ("paused", "first_rows_done")
    assert (data["run_first"], data["held_count"], data["held_cost"]) == (3, 7, "0.35")
    assert api.post(f"/{mission_id}/resume").json()["error"] == "not_released"
    change = {"find": "teapot", "replace": "cup", "config": {"aspectRatio": "1:1"}}
    for query in ("?validate_only=true", ""):
        answer = api.send("PATCH", f"/{mission_id}/rest{query}", change).json()["data"]
        assert (answer["changed_count"], answer["estimate"]["amount"]) == (7, "0.35")
        assert answer["examples"][0] == {"index": 4, "before": "a teapot, number 4", "after": "a cup, number 4"}
    bad = api.send("PATCH", f"/{mission_id}/rest", {"config": {"aspectRatio": "7:7"}})
    assert [error["field"] for error in bad.json()["errors"]] == ["config.aspectRatio"]
    refused = api.post(f"/{mission_id}/release", {"at_most": "0.20"})
    assert refused.status_code == 409
    released = api.post(f"/{mission_id}/release", {"at_most": "0.35"}, **{"Idempotency-Key": "once-once"}).json()[
        "data"
    ]
    assert (released["released_count"], released["status"]) == (7, "running")
    assert (
        api.post(f"/{mission_id}/release", {"at_most": "0.35"}, **{"Idempotency-Key": "once-once"}).json()["data"]
        == released
    )
    assert api.post(f"/{mission_id}/release").status_code == 409
