"""The page of one item: change and retry it, or resolve it."""

from __future__ import annotations

from django.contrib.messages import get_messages

from missions.models import Attempt
from tests.factories import make_media, make_mission


def messages_of(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_failed_item_is_changed_and_retried(mixed, web):
    response = web.post(
        f"/missions/{mixed.pk}/items/1/retry", {"param-prompt": "another teapot", "param-aspectRatio": "1:1"}
    )
    assert response.status_code == 302
    item = mixed.items.get(index=1)
    assert (item.status, item.params) == ("pending", {"prompt": "another teapot", "aspectRatio": "1:1"})


def test_unchanged_item_is_retried(mixed, web):
    before = mixed.items.get(index=1).params
    web.post(f"/missions/{mixed.pk}/items/1/retry", {"param-prompt": before["prompt"], "param-aspectRatio": "3:4"})
    item = mixed.items.get(index=1)
    assert (item.status, item.params) == ("pending", before)


def test_invalid_parameters_retry_nothing(mixed, web):
    data = {"param-prompt": "   ", "param-aspectRatio": "17:4"}
    response = web.post(f"/missions/{mixed.pk}/items/1/retry", data)
    assert response.status_code == 422
    assert mixed.items.get(index=1).status == "failed"


def test_catalogue_errors_stand_at_their_fields(owner, web):
    mission = make_mission(
        owner, [{"imageUrls": [make_media(owner).reference], "prompt": "x"}], task_type="image_to_image"
    )
    mission.items.update(status="failed")
    type(mission).objects.filter(pk=mission.pk).update(pending_count=0, failed_count=1, status="failed")
    data = {"param-prompt": "x", "param-imageUrls": "not an address", "param-aspectRatio": "auto"}
    response = web.post(f"/missions/{mission.pk}/items/1/retry", data)
    page = response.content.decode()
    assert response.status_code == 422
    assert "Must be an http(s) address" in page
    assert "not an address" in page


def test_only_failed_items_are_retried(mixed, web):
    response = web.post(f"/missions/{mixed.pk}/items/4/retry", {"param-prompt": "x", "param-aspectRatio": "3:4"})
    assert "Only a failed item" in messages_of(response)[0]


def test_item_that_did_not_run_is_resubmitted(mixed, web):
    response = web.post(f"/missions/{mixed.pk}/items/5/not-run")
    assert messages_of(response) == ["Item 5 resubmitted."]
    assert mixed.items.get(index=5).status == "pending"


def test_unknown_task_is_not_attached(mixed, web, simulator):
    simulator.reset()
    response = web.post(f"/missions/{mixed.pk}/items/5/attach", {"remote_task_id": "123456789"})
    assert response.status_code == 422
    assert "does not know this task" in response.content.decode()
    assert 'value="123456789"' in response.content.decode()
    assert Attempt.objects.filter(item__mission=mixed, item__index=5).count() == 1


def test_malformed_task_id_is_refused(mixed, web):
    response = web.post(f"/missions/{mixed.pk}/items/5/attach", {"remote_task_id": "../../x"})
    assert response.status_code == 422
    assert "only letters" in response.content.decode()


def test_tags_are_set_on_the_page_of_an_item(mixed, web):
    path = f"/missions/{mixed.pk}/items/4"
    assert web.post(f"{path}/tags", {"tags": "approved, 客户甲，approved"}).status_code == 302
    page = web.get(path).content.decode()
    assert "?tag=approved" in page
    assert 'value="approved, 客户甲"' in page
    answer = web.post(f"{path}/tags", {"tags": "客户甲"}, headers={"Accept": "application/json"})
    assert answer.json()["tags"] == ["客户甲"]
    web.post(f"{path}/tags", {"tags": ""})
    assert "?tag=" not in web.get(path).content.decode()


def test_impossible_tags_are_shown_as_typed(mixed, web):
    path = f"/missions/{mixed.pk}/items/4/tags"
    response = web.post(path, {"tags": f"fine, {'x' * 41}"})
    assert response.status_code == 422
    assert "has 41 characters" in response.content.decode()
    assert f"fine, {'x' * 41}" in response.content.decode()
    script = web.post(path, {"tags": "x" * 41}, headers={"Accept": "application/json"})
    assert (script.status_code, "has 41 characters" in script.json()["message"]) == (422, True)
    assert not mixed.items.get(index=4).tags.exists()
