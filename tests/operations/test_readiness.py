"""``/health`` and ``/ready`` name each part that does not work."""

from __future__ import annotations

import os
from datetime import timedelta

import psutil
import pytest
from django.utils import timezone

from providers import provider_accounts
from providers.models import ProviderAccount
from workers import heartbeat
from workers.models import WorkerCluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def all_well(settings):
    settings.RUNNINGHUB_API_KEY = "a key"
    provider_accounts.environment_account()
    WorkerCluster.objects.create(host="elsewhere", pid=1, pid_started_at=0)


def bad_parts(client) -> dict[str, str]:
    """Return the messages of ``/ready`` by part."""
    answer = client.get("/api/v1/ready")
    assert (answer.status_code, answer.json()["error"]) == (503, "not_ready")
    assert answer["Retry-After"]
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


def test_ready_when_every_part_works(client, all_well):
    answer = client.get("/api/v1/ready")
    assert answer.status_code == 200
    assert {name: part["is_ok"] for name, part in answer.json()["data"].items()} == {
        "database": True,
        "workers": True,
        "provider": True,
        "disk": True,
    }


def test_health_needs_only_the_database(client):
    answer = client.get("/api/v1/health")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"database": {"is_ok": True, "message": "The database answers."}}


def test_each_missing_part_is_named(client):
    assert set(bad_parts(client)) == {"workers", "provider"}


def test_stopped_or_silent_workers_are_not_ready(client, all_well):
    WorkerCluster.objects.update(beat_at=timezone.now() - heartbeat.SILENT_AFTER - timedelta(seconds=1))
    assert set(bad_parts(client)) == {"workers"}
    WorkerCluster.objects.update(beat_at=timezone.now(), stopped_at=timezone.now())
    assert set(bad_parts(client)) == {"workers"}


def test_dead_local_supervisor_is_noticed_at_once(client, all_well):
    me = psutil.Process()
    WorkerCluster.objects.update(host=os.uname().nodename, pid=me.pid, pid_started_at=me.create_time())
    assert client.get("/api/v1/ready").status_code == 200
    WorkerCluster.objects.update(pid_started_at=me.create_time() - 100)  # its number was given to another process
    assert set(bad_parts(client)) == {"workers"}


def test_one_usable_account_is_enough(client, all_well):
    ProviderAccount.objects.create(name="old", is_enabled=False)
    assert client.get("/api/v1/ready").status_code == 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"is_enabled": False}, "1 switched off"), ({"paused_at": timezone.now()}, "1 paused")],
)
def test_blocked_account_is_not_ready(client, all_well, changes, words):
    ProviderAccount.objects.update(**changes)
    assert words in bad_parts(client)["provider"]


def test_missing_key_is_not_ready_and_names_no_account(client, all_well, settings):
    settings.RUNNINGHUB_API_KEY = ""
    errors = bad_parts(client)
    assert set(errors) == {"provider"}
    assert "1 without a key" in errors["provider"]
    assert "environment" not in errors["provider"]


def test_workers_that_wait_for_a_slow_provider_are_counted(client, all_well):
    slow = [{"kind": "download", "account_id": 1, "workers": 6, "seconds": 45}]
    WorkerCluster.objects.update(slow_work=slow)
    answer = client.get("/api/v1/ready")
    assert answer.status_code == 200
    assert answer.json()["data"]["workers"]["message"] == "Workers are running; 6 of them wait for a slow provider."
