"""Pages show the progress and the text of items that run, and texts wherever results are shown."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest
from django.test import Client

from missions import lifecycle
from missions.models import Attempt, ItemEvent, Mission
from providers.models import ProviderAccount
from tests.factories import begin, claim, make_mission
from tests.result_factories import run

pytestmark = pytest.mark.django_db


@pytest.fixture
def chat(owner) -> Mission:
    """Return a chat mission of two items, of which the first is being written."""
    mission = make_mission(owner, ["Tell a story.", "Tell another."], task_type="text")
    account = ProviderAccount.objects.create(name="chat", provider="openai")
    [attempt_id] = claim(mission, account)
    begin(attempt_id)
    for piece in ("Once <b>upon", " a time"):
        assert lifecycle.add_text(attempt_id, piece)
    Attempt.objects.filter(pk=attempt_id).update(progress=0.429)
    return mission


def test_pages_show_progress_and_text_so_far(chat: Mission, web: Client) -> None:
    latest = ItemEvent.objects.exclude(text="").latest("pk").pk
    for path in ("", "/pulse?tab=results", "/items/1"):
        page = web.get(f"/missions/{chat.pk}{path}").content.decode()
        [(attempt, after, text)] = re.findall(
            r'data-live-text="1" data-attempt="(\d+)" data-after="(\d+)">(.*?)</p>', page
        )
        assert (attempt, after, text) == ("1", str(latest), "Once &lt;b&gt;upon a time"), path
        assert 'value="42"' in page
    items = web.get(f"/missions/{chat.pk}/items").content.decode()
    assert items.count('value="42"') == 1
    assert "data-live-text" not in web.get(f"/missions/{chat.pk}/items/2").content.decode()


def test_text_of_an_earlier_attempt_is_not_shown(chat: Mission, web: Client) -> None:
    Attempt.objects.update(number=2)
    page = web.get(f"/missions/{chat.pk}").content.decode()
    assert 'data-attempt="2" data-after="0" hidden></p>' in page


def test_other_providers_show_no_running_items(owner, account, web: Client) -> None:
    mission = make_mission(owner, 2)
    claim(mission, account)
    page = web.get(f"/missions/{mission.pk}")
    assert page.context["running_items"] == []
    assert b"mission-running" not in page.content


def test_texts_are_shown_and_exported(owner, web: Client) -> None:
    mission = make_mission(owner, 1)
    run(mission, ["=1+1 is <two>."])
    for path in ("", "/items/1"):
        assert "=1+1 is &lt;two&gt;." in web.get(f"/missions/{mission.pk}{path}").content.decode()
    table = web.get(f"/api/v1/missions/{mission.pk}/results.csv").getvalue().decode("utf-8-sig")
    assert [row["text"] for row in csv.DictReader(io.StringIO(table))] == ["'=1+1 is <two>."]
    archive = web.get(f"/api/v1/missions/{mission.pk}/download").getvalue()
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        [name] = [name for name in content.namelist() if name.endswith(".txt")]
        assert content.read(name) == b"=1+1 is <two>."
