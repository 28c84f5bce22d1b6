"""``/metrics``: who is answered, and that every name is explained and known to the alerts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.conf import settings as django_settings
from django.urls import reverse
from prometheus_client.parser import text_string_to_metric_families

from operations.models import Backup
from workers.models import WorkerCluster

pytestmark = pytest.mark.django_db
DOCS = Path(django_settings.BASE_DIR) / "docs"
PREFIX = "runninghub_batch_"


@pytest.fixture
def address() -> str:
    return reverse("metrics")


@pytest.fixture
def samples(client, mixed, address):
    """Every sample, by the metric's name without its prefix."""
    WorkerCluster.objects.create(host="here", pid=1, pid_started_at=0, worker_count=4, free_disk_bytes=1)
    Backup.objects.create(host="here", folder="/backup/monday", size_bytes=1, file_count=0)
    families = list(text_string_to_metric_families(client.get(address).content.decode()))
    assert all(family.name.startswith(PREFIX) and family.documentation for family in families)
    ending = {"counter": "_total"}
    return {family.name.removeprefix(PREFIX) + ending.get(family.type, ""): family.samples for family in families}


def value(samples, **labels) -> float:
    [found] = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
    return found


def test_this_machine_needs_no_token(client, address):
    answer = client.get(address)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert client.get(address, REMOTE_ADDR="::1").status_code == 200


@pytest.mark.parametrize("origin", ["10.0.0.7", "", "2001:db8::1"])
def test_other_machines_need_a_token(client, address, origin):
    assert client.get(address, REMOTE_ADDR=origin).status_code == 403


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Proto"])
def test_proxied_requests_need_a_token(client, address, header):
    assert client.get(address, headers={header: "127.0.0.1"}).status_code == 403


def test_site_with_public_url_needs_a_token(client, address, settings):
    settings.PUBLIC_BASE_URL = "https://batch.example.org"
    assert client.get(address).status_code == 403


def test_token_is_required_from_everywhere(client, address, settings):
    settings.METRICS_TOKEN = "a token of twenty letters"
    for wrong in ("", "Bearer", "Bearer another", "Basic a token of twenty letters", "a token of twenty letters"):
        answer = client.get(address, headers={"Authorization": wrong})
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    right = {"Authorization": "Bearer a token of twenty letters", "X-Forwarded-For": "10.0.0.7"}
    assert client.get(address, headers=right, REMOTE_ADDR="10.0.0.7").status_code == 200


def test_values_match_the_rows(samples, mixed):
    assert {sample.labels["status"]: sample.value for sample in samples["items"]} == mixed.counts
    assert value(samples["in_flight"], account="environment") == 1
    assert value(samples["unconfirmed_attempts"], account="environment") == 1
    assert value(samples["attempts_ended_last_hour"], status="failed") == 2
    assert value(samples["submissions_recent"], result="refused", code="1003") == 1
    assert value(samples["spend"], days="1", model=mixed.model, currency="CNY") == 0.05
    assert value(samples["unconfirmed_stake"], currency="CNY") == 0.05
    assert value(samples["workers"], host="here") == 4
    assert value(samples["results_to_fetch"]) == 1


def test_every_status_is_reported(client, account, address):
    """A missing series would silence the alerts that compare with it."""
    text = client.get(address).content.decode()
    for status in ("succeeded", "failed", "cancelled", "refused", "void"):
        assert f'attempts_ended_last_hour{{status="{status}"}} 0.0' in text, status
    for result in ("accepted", "refused", "unconfirmed", "withdrawn"):
        labels = f'account="environment",code="",result="{result}"'
        assert f"submissions_recent{{{labels}}} 0.0" in text, result


def test_last_backup_and_free_space(client, samples, address, settings):
    settings.MIN_FREE_DISK_MB = 5
    WorkerCluster.objects.update(free_disk_bytes=7)
    Backup.objects.create(host="here", folder="/backup", size_bytes=1, file_count=0)
    text = client.get(address).content.decode()
    for line in ('worker_disk_free_bytes{host="here",pid="1"} 7.0', "disk_min_free_bytes 5.24288e+06"):
        assert f"{PREFIX}{line}\n" in text
    assert f"{PREFIX}backup_age_seconds" in text


def test_every_metric_is_documented(samples):
    rows = re.findall(r"^\| `([a-z_]+)` \|([a-z_, ]*)\|", (DOCS / "monitoring.md").read_text(), re.MULTILINE)
    explained = {name: set(re.findall(r"[a-z_]+", labels)) for name, labels in rows}
    assert explained == {name: set(samples[0].labels) for name, samples in samples.items()}


def test_alert_rules_use_existing_metrics(samples):
    groups = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 8
    for rule in rules:
        assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
        assert rule["annotations"]["summary"]
        named = set(re.findall(rf"{PREFIX}([a-z_]+)", rule["expr"]))
        assert named
        assert named <= samples.keys(), rule["alert"]
        for name, labels in re.findall(rf"{PREFIX}([a-z_]+){{([^}}]*)}}", rule["expr"]):
            assert set(re.findall(r"(\w+)!?=", labels)) <= set(samples[name][0].labels), rule["alert"]


@pytest.fixture
def promtool() -> str:
    path = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not path and not os.environ.get("CI"):
        pytest.skip("no promtool: apt install prometheus, or set PROMTOOL")
    return path or "promtool"


@pytest.mark.prove
def test_alerts_fire_when_they_should(promtool):
    file = Path(__file__).with_name("alerts.test.yml")
    for words in (("test", "rules", str(file)), ("check", "rules", str(DOCS / "alerts.yml"))):
        done = subprocess.run([promtool, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prove
def test_prometheus_accepts_the_metrics(promtool, client, mixed, address):
    content = client.get(address).content
    done = subprocess.run([promtool, "check", "metrics"], input=content, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
