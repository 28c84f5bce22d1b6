from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User

from core.db import bulk
from missions.models import Attempt
from providers.models import ProviderAccount
from tests.factories import claim, make_mission

pytestmark = pytest.mark.postgresql

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def attempts(owner: User, account: ProviderAccount) -> list[Attempt]:
    return list(Attempt.objects.filter(pk__in=claim(make_mission(owner, rows=3), account, limit=3)).order_by("pk"))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("remote_task_id", ["7", "8", "9"]),
        ("error_code", ["a", "a", ""]),
        ("poll_count", [1, 1, 1]),
        ("next_poll_at", [NOON, None, NOON]),
        ("next_poll_at", [None, None, None]),
        ("raw", [{"taskId": "7"}, {}, {"list": [1, "2", None]}]),
        ("raw", [{}, {}, {}]),
        ("gone_count", [0, 1, 2]),
    ],
)
def test_every_row_gets_its_own_value(
    attempts: list[Attempt], field: str, values: list[Any], django_assert_num_queries: Any
) -> None:
    for attempt, value in zip(attempts, values, strict=True):
        setattr(attempt, field, value)
    with django_assert_num_queries(1):
        written = Attempt.objects.filter(pk__in=[attempt.pk for attempt in attempts]).update(
            **bulk.columns(attempts, field, "worker")
        )
    assert written == 3
    assert list(Attempt.objects.order_by("pk").values_list(field, flat=True)) == values
