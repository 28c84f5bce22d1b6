"""What rows say is stored in English and shown in the reader's language, as far as translators know it."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from core.translated_reasons import in_readers_language
from missions import services
from tests.factories import make_mission


def test_a_reader_of_english_sees_what_is_stored():
    text = "The worker died before it was sent. RunningHub says: 审核 refused. (1501)"

    assert in_readers_language(text) == text
    assert in_readers_language("") == ""


@pytest.mark.django_db
def test_what_a_chinese_speaker_does_is_stored_for_readers_of_any_language(owner):
    mission = make_mission(owner)
    with translation.override("zh-hans"):
        services.pause_mission(mission_id=mission.pk, actor=f"user:{owner.pk}")

    mission.refresh_from_db()
    assert mission.pause_reason == "Paused by a person."


@pytest.mark.django_db
def test_a_chinese_speaker_reads_in_chinese_what_failed(mixed, owner):
    stored = "Moderation refused the prompt or an image. Change them. RunningHub says: no"
    mixed.items.filter(status="failed").update(error_message=stored)
    client = Client(headers={"accept-language": "zh-hans"})
    client.force_login(owner)
    for page in ("failures", "items", "items/1"):
        shown = client.get(f"/missions/{mixed.pk}/{page}").content.decode()
        assert "未通过审核" in shown, page
        assert "RunningHub 的说明：no" in shown, page
        assert "Moderation" not in shown, page


def test_templates_show_no_stored_text_as_it_is():
    stored = re.compile(
        r"\{\{[^}]*\b(?:error_message|pause_reason|(?:event|group|cause)\.(?:reason|message))\b([^}]*)\}\}"
    )
    for path in settings.BASE_DIR.glob("*/templates/**/*.html"):
        assert all("|told" in filters for filters in stored.findall(path.read_text())), path
