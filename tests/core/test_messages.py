"""The Chinese translations are complete, compiled and have all placeholders."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import translation
from django.utils.translation import gettext

from providers import catalog

FOLDER = Path(settings.BASE_DIR, "runninghub_batch", "locale", "zh_Hans", "LC_MESSAGES")
TOOLS = {settings.BASE_DIR / name for name in ("tests", "benchmarks")}
HOLE = re.compile(r"%\(\w+\)[sd]|%[sd]")


@pytest.fixture(scope="module")
def entries():
    return polib.pofile(str(FOLDER / "django.po"))


def texts(entries) -> dict[str, object]:
    return {entry.msgid: entry.msgstr_plural or entry.msgstr for entry in entries if entry.msgid}


def test_compiled_messages_are_current(entries):
    compiled = polib.mofile(str(FOLDER / "django.mo"))
    assert texts(compiled) == texts(entries.translated_entries()), "run make messages"


def test_no_message_is_missing_or_fuzzy(entries):
    assert not [entry.msgid for entry in entries if entry.fuzzy or entry.obsolete or not entry.translated()]


def test_translations_have_all_placeholders(entries):
    for entry in entries.translated_entries():
        for told in entry.msgstr_plural.values() or [entry.msgstr]:
            assert sorted(HOLE.findall(told)) == sorted(HOLE.findall(entry.msgid_plural or entry.msgid)), entry.msgid


def test_pages_are_chinese_for_chinese_browsers(client, db):
    with translation.override("zh-hans"):
        page = client.get("/accounts/login/", headers={"Accept-Language": "zh-CN"}).content.decode()
    assert "登录" in page
    assert "密码" in page


@pytest.fixture
def collected(tmp_path, settings, monkeypatch):
    """Return the entries that ``make messages`` would collect now."""
    if not shutil.which("xgettext") and not os.environ.get("CI"):
        pytest.skip("no xgettext: apt install gettext")
    (tmp_path / "locale").mkdir()
    settings.LOCALE_PATHS = [tmp_path / "locale"]
    # A copy: while it works, it writes a file beside each template, which other tests would take
    # for ours.
    source = tmp_path / "source"
    for package in {place.parent for place in settings.BASE_DIR.glob("*/__init__.py")} - TOOLS:
        shutil.copytree(package, source / package.name, ignore=shutil.ignore_patterns("locale", "__pycache__"))
    monkeypatch.chdir(source)
    call_command("makemessages", locale=["zh_Hans"], no_wrap=True, verbosity=0)
    return polib.pofile(str(tmp_path / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"))


def test_every_text_in_the_code_is_translated(collected, entries):
    wanted = {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in collected}
    known = {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in entries.translated_entries()}
    assert not wanted - known, "run make messages, and translate what is new"


def test_models_have_chinese_names():
    with translation.override("zh-hans"):
        for model in catalog.all_models():
            _family, *parts = model.name.split(", ")
            assert not [part for part in parts if gettext(part) == part], model.name
