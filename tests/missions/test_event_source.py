"""The log of a mission as a stream: heads, events and the end."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User

from missions import lifecycle, services
from missions.event_source import MissionSource, first_event, latest_event_id
from missions.models import ItemEvent
from providers.models import ProviderAccount
from tests import result_factories
from tests.factories import accept, begin, claim, make_mission, picture

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

SOURCE = MissionSource()


def test_heads_of_all_missions_cost_one_statement(owner: User, django_assert_num_queries):
    missions = [make_mission(owner, 2) for _ in range(5)]
    services.delete_mission(mission_id=missions[0].pk, actor="user:1")
    with django_assert_num_queries(1):
        heads = SOURCE.heads([mission.pk for mission in missions])
    assert {pk: head.position for pk, head in heads.items()} == {
        mission.pk: latest_event_id(mission) for mission in missions[1:]
    }


def test_events_reach_up_to_the_head(owner: User, django_assert_num_queries):
    mission = make_mission(owner, 3)
    head = SOURCE.heads([mission.pk])[mission.pk]
    result_factories.add_events(mission, 5)
    with django_assert_num_queries(1):
        events = SOURCE.events(mission.pk, after=0, head=head, limit=200)
    assert [event.id for event in events] == list(
        ItemEvent.objects.filter(mission=mission, pk__lte=head.position).order_by("pk").values_list("pk", flat=True)
    )
    later = SOURCE.heads([mission.pk])[mission.pk]
    assert len(SOURCE.events(mission.pk, after=head.position, head=later, limit=3)) == 3


def test_a_message_reports_a_move_and_the_state(owner: User, account: ProviderAccount):
    mission = make_mission(owner, 2)
    claim(mission, account)
    head = SOURCE.heads([mission.pk])[mission.pk]
    event = next(event for event in SOURCE.events(mission.pk, after=0, head=head, limit=9) if event.name == "item")
    data = json.loads(event.data)
    state = data.pop("mission")
    assert data.pop("at").endswith("Z")
    assert data == {
        "item": 1,
        "from": "pending",
        "to": "submitting",
        "reason": "",
        "reason_code": None,
        "attempt": None,
    }
    mission.refresh_from_db()
    assert state == {
        "api_mission_id": mission.pk,
        "status": "running",
        "total_count": 2,
        "counts": dict.fromkeys(mission.counts, 0) | {"submitting": 1, "pending": 1},
        "progress": 0.0,
        "cost": "0.00",
        "currency": "CNY",
    }
    assert json.loads(first_event(mission).data) == {"mission": state}


def test_a_mission_is_over_when_every_file_is_stored(owner: User, account: ProviderAccount):
    mission = make_mission(owner, 1)

    def is_over() -> bool:
        return SOURCE.heads([mission.pk])[mission.pk].is_over

    (attempt_id,) = claim(mission, account)
    assert begin(attempt_id)
    lifecycle.cancel(mission.pk, actor="user:1")
    assert not is_over()
    assert accept(attempt_id)
    assert not is_over()
    (output,) = result_factories.succeed_with(attempt_id, [picture()])
    assert not is_over()
    result_factories.store(output, picture())
    assert is_over()


def test_a_paused_mission_is_not_over(owner: User):
    mission = make_mission(owner, 1)
    services.pause_mission(mission_id=mission.pk, actor="user:1")
    assert not SOURCE.heads([mission.pk])[mission.pk].is_over


def test_a_stream_ends_with_the_last_state(owner: User):
    mission = make_mission(owner, 1)
    lifecycle.cancel(mission.pk, actor="user:1")
    end = SOURCE.end(SOURCE.heads([mission.pk])[mission.pk])
    assert (end.id, end.name, json.loads(end.data)["mission"]["status"]) == (0, "end", "cancelled")
    assert json.loads(SOURCE.end(None).data) == {"mission": None}
