"""Failures mended in one sitting: edit prompts, replace words, retry what may work."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client

from missions import event_source, lifecycle, services
from missions.models import Mission
from missions.services import MissionInvalid
from providers.models import ProviderAccount
from tests.factories import accept, begin, check_mission, claim, fail, make_mission

MODERATED, BUSY = "1501", "1015"  # a cause that needs another prompt; one that may pass


@pytest.fixture
def failed(owner: User, account: ProviderAccount) -> Mission:
    """Return a mission: items 1–3 failed by moderation, 4 for another cause."""
    mission = make_mission(owner, ["a RED fox", "a red owl", "a blue cat", "a red dog"])
    for number, attempt_id in enumerate(claim(mission, account, 4)):
        begin(attempt_id)
        accept(attempt_id)
        if number == 3:
            fail(attempt_id)
        else:
            lifecycle.fail(attempt_id, code=MODERATED, message="Blocked.")
    mission.refresh_from_db()
    return mission


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def prompts(mission: Mission) -> list[str]:
    return [mission.params.get("prompt") or item.params["prompt"] for item in mission.items.order_by("index")]


def statuses(mission: Mission) -> list[str]:
    return list(mission.items.order_by("index").values_list("status", flat=True))


def test_saved_prompts_wait_for_a_retry(failed: Mission, web: Client):
    path = f"/missions/{failed.pk}/failures/mend"
    page = web.get(path, {"error_code": MODERATED}).content.decode()
    assert [f'id="prompt-{index}"' in page for index in (1, 2, 3, 4)] == [True, True, True, False]
    assert f'data-after="{event_source.latest_event_id(failed)}"' in page
    form = {"action": "save", "error_code": MODERATED, "prompt-1": "a calm fox", "prompt-2": "a red owl"}
    response = web.post(path, form)
    assert messages_of(response) == ["1 prompt saved. Nothing is sent until you retry."]
    assert (prompts(failed)[0], statuses(failed)) == ("a calm fox", ["failed"] * 4)
    assert failed.items.get(index=1).edited_at
    assert not failed.items.get(index=2).edited_at
    answer = web.post(path, form | {"prompt-1": " "}, headers={"Accept": "application/json"}).json()
    assert (answer["kind"], answer["saved"], answer["edited"]) == ("error", [], 1)
    answer = web.post(path, form | {"prompt-2": "an owl"}, headers={"Accept": "application/json"}).json()
    assert (answer["saved"], answer["label"]) == ([2], "Retry the 2 edited (about ¥0.10)")

    edited = {"edited": "1", "has_code": "1", "error_code": MODERATED, "at_most": "2"}
    assert messages_of(web.post(f"/missions/{failed.pk}/retry", edited))[-1] == "2 items resubmitted."
    assert statuses(failed) == ["pending", "pending", "failed", "failed"]
    assert not failed.items.exclude(edited_at=None).exists()
    check_mission(failed.pk)


def test_words_are_replaced_after_a_preview(failed: Mission, web: Client):
    path = f"/missions/{failed.pk}/failures/mend"
    words = {"error_code": MODERATED, "find": "red", "replace": "crimson"}
    page = web.post(path, words | {"action": "preview"}).content.decode()
    assert "a crimson fox" in page
    assert "a crimson dog" not in page  # of another cause
    assert "Change and retry 2" in page
    assert "(about ¥0.10)" in page
    assert prompts(failed)[0] == "a RED fox"
    response = web.post(path, words | {"action": "replace_and_retry", "count": "1"})
    assert "Other items have failed meanwhile" in messages_of(response)[-1]
    assert statuses(failed) == ["failed"] * 4
    web.post(path, words | {"action": "replace_and_retry", "count": "2"})
    assert prompts(failed) == ["a crimson fox", "a crimson owl", "a blue cat", "a red dog"]
    assert statuses(failed) == ["pending", "pending", "failed", "failed"]
    assert web.post(path, words | {"action": "preview", "find": "nowhere"}).status_code == 422
    response = web.post(path, words | {"find": "BLUE", "match_case": "on", "action": "preview"})
    assert response.status_code == 422
    web.post(path, words | {"find": "blue", "action": "replace", "count": "1"})
    assert (prompts(failed)[2], statuses(failed)[2]) == ("a crimson cat", "failed")


def test_only_what_may_work_is_retried(failed: Mission, web: Client):
    page = web.get(f"/missions/{failed.pk}/failures").content.decode()
    assert "Retry the 1 that may work" in page
    assert "3 of them will fail again unless you change them first." in page
    services.edit_failed(mission_id=failed.pk, params={2: {"prompt": "an owl"}}, actor="user:1")
    form = {"promising": "1", "at_most": "1"}
    assert "More items have failed" in messages_of(web.post(f"/missions/{failed.pk}/retry", form))[-1]
    web.post(f"/missions/{failed.pk}/retry", form | {"at_most": "2"})
    assert statuses(failed) == ["failed", "pending", "failed", "pending"]


def test_an_invalid_edit_changes_nothing(failed: Mission):
    with pytest.raises(MissionInvalid) as caught:
        services.edit_failed(mission_id=failed.pk, params={1: {"prompt": "x"}, 2: {"prompt": ""}}, actor="user:1")
    assert [error.field for error in caught.value.errors] == ["items.2.prompt"]
    assert prompts(failed)[0] == "a RED fox"
    services.retry_failed(mission_id=failed.pk, actor="user:1")
    assert services.edit_failed(mission_id=failed.pk, params={1: {"prompt": "x"}}, actor="user:1") == []
