"""What rows say is stored in English and shown in the reader's language, as far as translators know it."""

from __future__ import annotations

import pytest
from django.utils import translation

from missions import services
from missions.stored_texts import in_readers_language
from tests.missions.world import make_mission


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
