"""Admin lists stay fast: they count up to a limit and use indexes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.admin import readonly
from mission_pages.admin.lookups import attempts_with_task
from tests import query_plans
from tests.factories import make_mission

pytestmark = pytest.mark.django_db

LONG = ["missions_missionitem", "missions_attempt", "missions_output", "missions_itemevent"]


def list_url(name):
    return reverse(f"admin:{name}_changelist")


@pytest.mark.parametrize("name", [*LONG, "missions_mission", "media_mediafile"])
def test_longer_list_costs_no_more_statements(admin_client, owner, mixed, name):
    admin_client.get(list_url(name))  # queries that run once per process
    with CaptureQueriesContext(
        connection,
    ) as few:
        admin_client.get(list_url(name))
    for number in range(3):
        make_mission(owner, 20, name=f"More {number}")
    with CaptureQueriesContext(connection) as many:
        admin_client.get(list_url(name))
    assert len(many) == len(few) <= 12


@pytest.mark.parametrize("name", LONG)
def test_lists_count_up_to_a_limit(admin_client, mixed, name):
    with CaptureQueriesContext(connection) as statements:
        admin_client.get(list_url(name))
    counting = [query["sql"] for query in statements if query["sql"].startswith("SELECT COUNT(")]
    counts = [sql for sql in counting if f'FROM "{name}"' in sql]
    assert counts
    assert all(f"LIMIT {readonly.MAX_COUNT + 1}" in sql for sql in counts)


def test_limited_count_is_marked(admin_client, mixed, monkeypatch):
    monkeypatch.setattr(readonly, "MAX_COUNT", 5)
    page = admin_client.get(list_url("missions_missionitem")).content.decode()
    assert "more than 5 mission items" in page


@pytest.mark.parametrize(
    "name, query",
    [
        ("missions_missionitem", {}),
        ("missions_missionitem", {"status": "unconfirmed"}),
        ("missions_missionitem", {"mission": "1", "status": "failed"}),
        ("missions_missionitem", {"mission": "1", "cause": "1015"}),
        ("missions_missionitem", {"q": "1#4"}),
        ("missions_missionitem", {"q": "90001"}),
        ("missions_attempt", {}),
        ("missions_attempt", {"live": "unconfirmed"}),
        ("missions_attempt", {"q": "90001"}),
        ("missions_attempt", {"q": "1#4"}),
        ("missions_output", {"q": "1#4"}),
        ("missions_itemevent", {}),
        ("missions_itemevent", {"q": "1"}),
        ("missions_itemevent", {"q": "1#4"}),
        ("audit_auditentry", {}),
        ("audit_auditentry", {"q": "mei"}),
        ("audit_auditentry", {"q": "mission 1"}),
        ("audit_auditentry", {"verb": "mission.create"}),
    ],
)
def test_lists_use_an_index(admin_client, mixed, name, query):
    plan = plan_of(admin_client.get(list_url(name), query).context["cl"].queryset[:50])
    if query:
        assert not re.search(rf"SCAN {name}|Seq Scan on {name}\b", plan), plan
    else:
        assert not re.search(r"TEMP B-TREE|Sort", plan), plan


def test_task_search_uses_the_index(history):
    assert "remote_task_has_one_attempt" in plan_of(attempts_with_task("90001").order_by())


def plan_of(rows: QuerySet[Any]) -> str:
    """Return the database's query plan.

    PostgreSQL sorts short tables, so sorting is switched off.
    """
    query_plans.prepare()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off")
    return rows.explain()


def test_models_page_shows_prices(admin_client):
    page = admin_client.get(reverse("admin-models")).content.decode()
    assert "rhart-image-v1/text-to-image" in page
    assert "¥0.05 each" in page
    assert page.count("default</span>") >= 4


def test_models_page_is_for_staff(client, owner):
    client.force_login(owner)
    assert client.get(reverse("admin-models")).status_code == 302
