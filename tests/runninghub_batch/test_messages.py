"""The Chinese texts: what is compiled is what was translated, and every sentence still has its holes."""

from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils import translation

FOLDER = Path(settings.BASE_DIR, "runninghub_batch", "locale", "zh_Hans", "LC_MESSAGES")
HOLE = re.compile(r"%\(\w+\)[sd]|%[sd]")


@pytest.fixture(scope="module")
def entries():
    return polib.pofile(str(FOLDER / "django.po"))


def texts(entries) -> dict[str, object]:
    return {entry.msgid: entry.msgstr_plural or entry.msgstr for entry in entries if entry.msgid}


def test_what_is_compiled_is_what_was_translated(entries):
    compiled = polib.mofile(str(FOLDER / "django.mo"))
    assert texts(compiled) == texts(entries.translated_entries()), "run make messages"


def test_nothing_is_guessed_or_obsolete(entries):
    assert not [entry.msgid for entry in entries if entry.fuzzy or entry.obsolete]


def test_every_translation_has_the_holes_of_its_sentence(entries):
    for entry in entries.translated_entries():
        for told in entry.msgstr_plural.values() or [entry.msgstr]:
            assert sorted(HOLE.findall(told)) == sorted(HOLE.findall(entry.msgid_plural or entry.msgid)), entry.msgid


def test_the_pages_speak_chinese(client, db):
    with translation.override("zh-hans"):
        page = client.get("/accounts/login/", headers={"Accept-Language": "zh-CN"}).content.decode()
    assert "登录" in page
    assert "密码" in page
