"""One item: look at it, change it and retry it, settle it."""

from __future__ import annotations

from django.contrib.messages import get_messages

from missions.models import Attempt
from tests.factories import make_media, make_mission


def said(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_failed_item_is_changed_and_retried(mixed, web):
    response = web.post(
        f"/missions/{mixed.pk}/items/1/retry", {"param-prompt": "another teapot", "param-aspectRatio": "1:1"}
    )
    assert response.status_code == 302
    item = mixed.items.get(index=1)
    assert (item.status, item.params) == ("pending", {"prompt": "another teapot", "aspectRatio": "1:1"})


def test_an_item_is_retried_as_it_is(mixed, web):
    before = mixed.items.get(index=1).params
    web.post(f"/missions/{mixed.pk}/items/1/retry", {"param-prompt": before["prompt"], "param-aspectRatio": "3:4"})
    item = mixed.items.get(index=1)
    assert (item.status, item.params) == ("pending", before)


def test_bad_parameters_keep_what_was_typed_and_retry_nothing(mixed, web):
    data = {"param-prompt": "   ", "param-aspectRatio": "17:4"}
    response = web.post(f"/missions/{mixed.pk}/items/1/retry", data)
    assert response.status_code == 422
    assert mixed.items.get(index=1).status == "failed"


def test_what_only_the_catalogue_knows_is_told_beside_the_field(owner, web):
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


def test_an_item_that_did_not_fail_is_not_retried(mixed, web):
    response = web.post(f"/missions/{mixed.pk}/items/4/retry", {"param-prompt": "x", "param-aspectRatio": "3:4"})
    assert "Only a failed item" in said(response)[0]


def test_an_unconfirmed_item_that_never_ran_is_submitted_again(mixed, web):
    response = web.post(f"/missions/{mixed.pk}/items/5/not-run")
    assert said(response) == ["Item 5 is submitted again."]
    assert mixed.items.get(index=5).status == "pending"


def test_a_task_that_was_found_is_attached_and_not_paid_again(mixed, web, simulator):
    simulator.reset()
    response = web.post(f"/missions/{mixed.pk}/items/5/attach", {"remote_task_id": "123456789"})
    assert response.status_code == 422
    assert "does not know this task" in response.content.decode()
    assert 'value="123456789"' in response.content.decode()
    assert Attempt.objects.filter(item__mission=mixed, item__index=5).count() == 1


def test_a_task_id_that_is_none_is_refused_before_anybody_is_asked(mixed, web):
    response = web.post(f"/missions/{mixed.pk}/items/5/attach", {"remote_task_id": "../../x"})
    assert response.status_code == 422
    assert "only letters" in response.content.decode()
