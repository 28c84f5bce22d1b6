"""An invented history is consistent, and is written only to an unused database."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from missions.maintenance import reconcile_counts
from missions.models import Attempt, ItemEvent, Mission, MissionItem
from operations import statistics
from tests.factories import make_mission

pytestmark = pytest.mark.django_db


def test_counts_and_costs_match_the_rows():
    call_command("make_history", items=2_500, verbosity=0)
    assert MissionItem.objects.count() == ItemEvent.objects.count() == 2_500
    assert not list(reconcile_counts.differences())
    assert {"completed", "failed", "pending", "unconfirmed"} <= set(
        MissionItem.objects.values_list("status", flat=True)
    )
    assert Attempt.objects.filter(status__in=["prepared", "sending", "running"]).count() == 0
    assert set(Mission.objects.values_list("provider", "currency")) == {("runninghub", "CNY")}
    assert set(Attempt.objects.values_list("currency", flat=True)) == {"CNY"}


def test_history_can_be_extended(owner):
    call_command("make_history", items=100, verbosity=0)
    call_command("make_history", items=50, force=True, verbosity=0)
    mission = make_mission(owner, 2)
    assert MissionItem.objects.count() == 152
    assert mission.total_count == 2


def test_history_has_nothing_to_submit():
    call_command("make_history", items=2_500, verbosity=0)
    assert not Mission.objects.filter(status__in=["scheduled", "queued", "running"]).exists()


def test_existing_missions_are_refused(owner):
    make_mission(owner)
    with pytest.raises(CommandError, match="There are missions"):
        call_command("make_history", items=10)


@pytest.mark.parametrize(
    "name, value",
    [("PUBLIC_BASE_URL", "https://batch.example.org"), ("RUNNINGHUB_API_KEY", "real"), ("OPENAI_API_KEY", "real")],
)
def test_site_in_use_is_refused(settings, name, value):
    setattr(settings, name, value)
    with pytest.raises(CommandError, match="in use"):
        call_command("make_history", items=10)
    assert statistics.counts_by_model() == {}
