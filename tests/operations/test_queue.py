"""The API of the queue."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from providers.models import ProviderAccount
from tests.api_client import caller
from tests.factories import accept, begin, claim, lose_answer, make_mission
from tests.missions.api.calls import data

pytestmark = pytest.mark.django_db


def queue(user: User):
    return data(caller(user).get("/api/v1/queue/status"))


def test_queue_shows_slots_and_backlog(owner, stranger, account, settings: Settings):
    settings.RUNNINGHUB_CONCURRENCY = 7
    mine, _ = make_mission(owner, 5), make_mission(stranger, 3)
    running, unsure = claim(mine, account, 2)
    for attempt in (running, unsure):
        begin(attempt)
    accept(running)
    lose_answer(unsure)

    status = queue(owner)

    assert (status["own_in_flight"], status["own_pending"]) == (1, 3)
    assert status["accounts"] == [
        {
            "name": "environment",
            "provider": "runninghub",
            "cap": 7,
            "in_flight": 1,
            "unconfirmed": 1,
            "pending": 6,
            "is_enabled": True,
            "is_draining": False,
            "is_paused": False,
            "paused_at": None,
            "pause_reason": "",
            "pause_reason_code": None,
            "balance": None,
            "balance_currency": "",
            "balance_read_at": None,
        }
    ]


def test_cap_is_the_current_one(owner, account, settings: Settings):
    settings.RUNNINGHUB_CONCURRENCY = 50
    ProviderAccount.objects.update(remote_concurrency=20)
    assert queue(owner)["accounts"][0]["cap"] == 20


def test_paused_account_shows_reason_and_no_secret(owner, account, settings: Settings):
    settings.RUNNINGHUB_API_KEY = "a-very-secret-key"
    ProviderAccount.objects.update(
        base_url="https://internal.example", paused_at=timezone.now(), pause_reason="The balance is empty."
    )
    answer = caller(owner).get("/api/v1/queue/status")

    shown = data(answer)["accounts"][0]
    assert (shown["is_paused"], shown["pause_reason"]) == (True, "The balance is empty.")
    assert b"internal.example" not in answer.content
    assert b"a-very-secret-key" not in answer.content


def test_queue_uses_a_fixed_number_of_queries(owner, account, django_assert_num_queries):
    client = caller(owner)
    data(client.get("/api/v1/queue/status"))
    for number in range(3):
        ProviderAccount.objects.create(name=f"more {number}")
        claim(make_mission(owner, 4), account, 2)

    with django_assert_num_queries(5):  # one of them is the token
        data(client.get("/api/v1/queue/status"))
