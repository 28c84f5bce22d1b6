"""A made-up past is like a real one, and stands only where no real one is."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from missions.maintenance import reconcile_counts
from missions.models import Attempt, ItemEvent, Mission, MissionItem
from operations import statistics
from tests.factories import make_mission

pytestmark = pytest.mark.django_db


def test_counts_and_costs_are_those_of_the_rows():
    call_command("make_history", items=2_500, verbosity=0)
    assert MissionItem.objects.count() == ItemEvent.objects.count() == 2_500
    assert not list(reconcile_counts.differences())
    assert {"completed", "failed", "pending", "unconfirmed"} <= set(
        MissionItem.objects.values_list("status", flat=True)
    )
    assert Attempt.objects.filter(status__in=["prepared", "sending", "running"]).count() == 0


def test_it_can_be_added_to_and_gone_on_with(owner):
    call_command("make_history", items=100, verbosity=0)
    call_command("make_history", items=50, force=True, verbosity=0)
    mission = make_mission(owner, 2)
    assert MissionItem.objects.count() == 152
    assert mission.total_count == 2


def test_nothing_that_it_made_would_be_sent():
    call_command("make_history", items=2_500, verbosity=0)
    assert not Mission.objects.filter(status__in=["scheduled", "queued", "running"]).exists()


def test_where_there_are_missions_it_refuses(owner):
    make_mission(owner)
    with pytest.raises(CommandError, match="There are missions"):
        call_command("make_history", items=10)


@pytest.mark.parametrize(
    "name, value", [("PUBLIC_BASE_URL", "https://batch.example.org"), ("RUNNINGHUB_API_KEY", "real")]
)
def test_where_the_site_is_in_use_it_refuses(settings, name, value):
    setattr(settings, name, value)
    with pytest.raises(CommandError, match="in use"):
        call_command("make_history", items=10)
    assert statistics.counts_by_model() == {}
