"""Properties, names and constraints of the models."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from missions.models import ItemStatus, Mission, MissionItem, Output, new_webhook_token
from providers.models import ProviderAccount
from tests.factories import bring_to, claim, make_mission

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def test_migrations_are_complete():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_progress_is_the_share_of_completed_items_in_percent():
    mission = Mission(total_count=3, completed_count=1, failed_count=2)
    assert mission.progress == 33.3
    assert Mission(total_count=0).progress == 0.0
    assert Mission(total_count=8, completed_count=8).progress == 100.0


def test_counts_have_a_key_for_every_status():
    assert set(Mission().counts) == set(ItemStatus.values)
    assert Mission(submitting_count=2, processing_count=3).in_flight_count == 5


def test_account_limit_defaults_to_the_environment(settings):
    settings.RUNNINGHUB_CONCURRENCY = 7
    assert ProviderAccount().configured_concurrency == 7
    assert ProviderAccount(concurrency=3).configured_concurrency == 3
    assert ProviderAccount(concurrency=0).configured_concurrency == 0


def test_webhook_tokens_cannot_be_guessed():
    tokens = {new_webhook_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 32


def test_a_place_in_a_mission_is_taken_once(owner):
    mission = make_mission(owner, 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        MissionItem.objects.create(mission=mission, index=1)


def test_a_result_of_an_attempt_is_stored_once(owner, account):
    mission = make_mission(owner, 1)
    bring_to("succeeded", claim(mission, account)[0])
    output = Output.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Output.objects.create(item=output.item, attempt=output.attempt, index=1)


def test_rows_have_readable_names(owner, account):
    mission = make_mission(owner, 1, name="Cups")
    (attempt_id,) = claim(mission, account)
    bring_to("succeeded", attempt_id)
    output = Output.objects.get()
    assert [str(mission), str(output.item), str(output.attempt), str(account)] == [
        "Cups",
        f"{mission.pk}#1",
        f"{output.item_id}/1",
        "environment",
    ]
    assert str(output) == "https://a.example/1.png"
    assert str(mission.events.last()) == "running → completed"


INDEXES: dict[str, tuple[Any, dict[str, Any]]] = {
    "mission_dispatchable": (Mission, {"provider": "x", "status": "queued"}),
    "item_mission_status": (MissionItem, {"mission_id": 1, "status": "failed"}),
}


@pytest.mark.parametrize("name", INDEXES)
def test_engine_queries_use_their_index(name):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads small tables from end to end, whatever their indexes")
    model, filters = INDEXES[name]
    rows: Any = model._default_manager.filter(**filters).order_by()
    assert name in rows.explain()
