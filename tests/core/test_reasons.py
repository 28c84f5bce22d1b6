"""Reasons: stored as code and parameters, shown in the language of the reader."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import translation

from core import reasons
from core.db import reasons as columns
from missions import lifecycle, services
from missions import reasons as mission_reasons
from providers.adapters.errors import AccountBlocked
from providers.adapters.runninghub import codes
from providers.adapters.runninghub.client import Reply
from tests.factories import bring_to, claim, make_mission

MODERATED = codes.task_error(Reply(200, {"errorCode": "1501"}, is_readable=True, text="no"))


def test_every_template_has_a_translation_with_its_parameters():
    with translation.override("zh-hans"):
        for code, template in reasons.TEMPLATES.items():
            values = {"name": "x"} | dict.fromkeys(_parameters(template), "x")
            translated = translation.gettext(template)
            assert translated != template, code
            assert template % values
            assert translated % values


def _parameters(template: str) -> list[str]:
    return [part.split(")")[0] for part in template.split("%(")[1:]]


def test_reason_is_an_english_text_with_code_and_parameters():
    reason = mission_reasons.DEADLINE(minutes=20, task_id="7")
    assert reason == "No result after 20 minutes. Task 7 may still end and be charged."
    assert reasons.stored(reason) == ("deadline", {"minutes": 20, "task_id": "7"})
    assert reasons.stored("a plain sentence") == (None, None)


def test_a_missing_parameter_or_code_never_fails():
    assert "%(minutes)s" in mission_reasons.DEADLINE(task_id="7")
    assert columns.display("stored text", "unknown", {}) == "stored text"
    assert columns.display("stored text", None, None) == "stored text"


def test_nested_reasons_are_translated():
    reason = mission_reasons.FAILURES_IN_A_ROW(
        count=3, code="1501", charged="0.10", currency="CNY", hint=MODERATED.message
    )
    code, params = reasons.stored(reason)
    with translation.override("zh-hans"):
        shown = columns.display(str(reason), code, params)
    assert shown.endswith("RunningHub：no")
    assert "moderation" not in shown


def test_amounts_are_shown_as_money():
    reason = mission_reasons.FAILURES_IN_A_ROW(count=3, code="1501", charged="0.1", currency="CNY")
    assert "They were charged ¥0.10." in reason


@pytest.mark.parametrize(
    ("detail", "english", "chinese"),
    [
        ("did not pass | 未通过", "did not pass", "未通过"),
        ("未通过|did not pass", "did not pass", "未通过"),
        ("a | b", "a | b", "a | b"),
        ("a | b | 未通过", "a | b | 未通过", "a | b | 未通过"),
    ],
)
def test_a_bilingual_detail_is_shown_in_one_language(detail, english, chinese):
    reason = mission_reasons.FAILED(provider="RunningHub", detail=detail)
    assert reason.endswith(f"RunningHub says: {english}")
    with translation.override("zh-hans"):
        assert columns.translate(reason).endswith(f"RunningHub：{chinese}")


def test_an_error_with_a_code_remains_a_reason():
    error = AccountBlocked(MODERATED.message, code="1501")
    assert str(error).endswith("RunningHub says: no (1501)")
    assert isinstance(error.__str__(), reasons.Reason)


@pytest.mark.django_db
def test_actions_of_chinese_readers_are_stored_in_english(owner):
    mission = make_mission(owner)
    with translation.override("zh-hans"):
        services.pause_mission(mission_id=mission.pk, actor=f"user:{owner.pk}")
        mission.refresh_from_db()
        assert mission.pause_reason_display == "由 mei 暂停。"
    assert (mission.pause_reason, mission.pause_reason_code) == ("Paused by mei.", "paused_by")


@pytest.mark.django_db
def test_pages_show_errors_in_the_language_of_the_reader(owner, account):
    mission = make_mission(owner, 2)
    attempt_id = bring_to("running", claim(mission, account)[0])
    lifecycle.fail(attempt_id, code="1501", message=MODERATED.message)
    client = Client(headers={"accept-language": "zh-hans"})
    client.force_login(owner)
    for page in ("failures", "items", "items/1"):
        shown = client.get(f"/missions/{mission.pk}/{page}").content.decode()
        assert "被内容审核拦截" in shown, page
        assert "RunningHub：no" in shown, page
        assert "moderation" not in shown, page
