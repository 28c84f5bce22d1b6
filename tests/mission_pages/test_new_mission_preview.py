"""The check of a form reports the items, the price and every problem, and creates nothing."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from pytest_django import Settings

from batch_input.tables import read_table
from media.services import store_upload
from mission_pages.new_mission.form import FormState, parse
from mission_pages.new_mission.preview import Preview, check, expected_time
from missions import durations
from missions.models import Mission
from missions.policy.polling import Expectation
from providers.catalog import get_model
from providers.models import ProviderAccount
from tests.factories import Workers, make_mission, picture

EDIT = {"task_type": "image_to_image", "model": "rhart-image-v1/edit", "source": "images"}
URLS = [f"https://a.example/{number}.png" for number in range(1, 4)]
TOO_LONG = "x" * 20_001


def preview(owner: User, *, table: str = "", name: str = "rows.csv", **fields: str) -> Preview:
    """Check a form. ``param_prompt`` stands for the field ``param-prompt``."""
    named = {key.replace("param_", "param-"): value for key, value in fields.items()}
    if table:
        named = {"source": "file", "has_header": "on"} | named
    imported = read_table(io.BytesIO(table.encode()), name=name) if table else None
    return check(parse(FormState(owner, "", named, imported)))


def test_items_and_price_are_counted(owner: User) -> None:
    result = preview(owner, prompts="a cat\n\n a dog \na cat", param_aspectRatio="1:1")
    tripled = preview(owner, prompts="a cat\na dog", repeat="3")

    assert result.is_ready
    assert (result.count, result.estimate, result.repeated_count) == (3, Decimal("0.15"), 1)
    assert result.first_items[1] == {"prompt": "a dog", "aspectRatio": "1:1"}
    assert (tripled.count, tripled.estimate) == (6, Decimal("0.30"))
    assert not Mission.objects.exists()


def test_empty_form_is_no_problem(owner: User) -> None:
    assert preview(owner).is_empty
    assert not preview(owner).is_ready


def test_invalid_rows_are_named_and_can_be_skipped(owner: User) -> None:
    prompts = "\n".join(["fine"] * 216 + [TOO_LONG] + ["fine"] * 3)
    result = preview(owner, prompts=prompts)
    skipping = preview(owner, prompts=prompts, leave_out="on")

    assert [(str(problem.origin), problem.field) for problem in result.row_problems] == [("Line 217", "prompt")]
    assert len(result.row_problems[0].value) <= 80
    assert not result.is_ready
    assert skipping.is_ready
    assert (skipping.count, skipping.skipped_count, len(skipping.rows)) == (219, 1, 219)


def test_many_invalid_rows_are_skipped(owner: User) -> None:
    result = preview(owner, prompts="\n".join([TOO_LONG] * 1500 + ["fine"]), leave_out="on")

    assert (result.count, result.skipped_count) == (1, 1500)
    assert not preview(owner, prompts=TOO_LONG, leave_out="on").is_ready


def test_shared_problem_is_reported_once(owner: User) -> None:
    result = preview(owner, prompts="a\nb\nc", spending_limit="-1")

    assert [error.field for error in result.problems] == ["spending_limit"]
    assert not result.row_problems


@pytest.mark.parametrize(
    "fields, table, expected",
    [
        (
            {"images": "\n".join(URLS), "prompt_each": "each", "image_prompts": "one\n\n"},
            "",
            ("Image 2", "prompt", "", ""),
        ),
        ({}, "image,prompt,比例\nhttps://a.example/1.png,a,wide\n", ("Line 2", "aspectRatio", "比例", "wide")),
        ({}, "image,prompt\ncat.png,a\n", ("Line 2", "imageUrls", "", "cat.png")),
    ],
)
def test_row_problem_has_its_origin(owner: User, fields: Any, table: str, expected: Any) -> None:
    problem = preview(owner, table=table, **EDIT | ({"source": "file"} if table else {}) | fields).row_problems[0]

    assert (str(problem.origin), problem.field, problem.column, problem.value) == expected


def test_images_that_are_converted_are_named(owner: User) -> None:
    media = store_upload(owner=owner, file=io.BytesIO(picture("GIF")), name="loop.gif").media

    result = preview(owner, **EDIT, images=media.reference, param_prompt="in ink")

    assert result.is_ready
    assert "loop.gif: GIF → PNG, " in " ".join(result.report.warning_texts)


def test_unreadable_lines_are_not_ignored(owner: User) -> None:
    lines = '"one"\n{broken\n"two"\n'

    assert not preview(owner, table=lines, name="rows.jsonl").is_ready
    assert preview(owner, table=lines, name="rows.jsonl", leave_out="on").count == 2


def test_too_many_items_are_counted_but_not_built(owner: User, settings: Settings) -> None:
    many = "\n".join(f"https://a.example/{number}.png" for number in range(5000))
    result = preview(owner, **EDIT | {"source": "combinations"}, prompts=many, images=many)

    assert result.count == 25_000_000
    assert "more than one mission may hold" in result.problems[0].message
    settings.MISSION_MAX_ITEMS = 3
    assert preview(owner, prompts="a\nb", repeat="2").problems[0].field == "batch_input"


def test_duration_follows_the_slots(owner: User, workers: Workers, account: ProviderAccount) -> None:
    assert preview(owner, prompts="a cat").time is None

    workers.finish(make_mission(owner, 6))
    cache.clear()  # cached for a moment
    ProviderAccount.objects.update(concurrency=2)
    few, many = preview(owner, prompts="a cat"), preview(owner, prompts="a cat\n" * 200)

    assert few.time is not None
    assert many.time is not None
    assert many.time.seconds == pytest.approx(few.time.seconds * 100, rel=0.6)


@pytest.mark.parametrize(
    "limits, waves", [({"concurrency": 2, "is_enabled": False}, 3), ({"concurrency": 0}, 6), (None, 2)]
)
def test_duration_without_a_usable_account(limits, waves, owner: User, monkeypatch, settings: Settings) -> None:
    monkeypatch.setattr(durations, "expectation", lambda *_: Expectation(first=10.0, last=10.0))
    settings.RUNNINGHUB_CONCURRENCY, settings.OPENAI_CONCURRENCY = 50, 4
    if limits is not None:
        ProviderAccount.objects.create(name="chat", provider="openai", **limits)
    assert expected_time(get_model("chat/completions"), 6).seconds == waves * 10


def test_duration_counts_the_queue(owner, stranger, monkeypatch):
    monkeypatch.setattr(durations, "expectation", lambda *_: Expectation(first=10.0, last=10.0))
    ProviderAccount.objects.create(name="chat", provider="openai", concurrency=2)
    model = get_model("chat/completions")
    chat = {"model": model.endpoint, "task_type": "text"}

    def seconds(count=6, priority=0):
        found = expected_time(model, count, priority=priority)
        return found.seconds, found.queued_count

    assert seconds() == (30, 0)
    make_mission(stranger, 40, **chat)
    assert seconds() == (60, 40)  # two missions share the slots: 6 of ours beside 6 of theirs
    assert seconds(count=100) == (700, 40)  # theirs ends sooner
    assert seconds(priority=50) == (30, 0)
    make_mission(stranger, 20, priority=50, **chat)
    assert seconds() == (160, 60)  # 20 of the urgent one come first
