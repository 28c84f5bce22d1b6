"""Callers of the API, and missions in the states that it shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions.models import Mission, MissionItem, ProviderAccount
from tests.callers import caller
from tests.missions.world import bring_to, claim, make_mission

ROOT = "/api/v1/missions"


class Api:
    """Somebody who calls ``/missions``: ``ok`` answers give their data, others their whole body."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(ROOT + path, query)

    def send(self, method: str, path: str, body: Any = None, **headers: Any) -> Any:
        call = getattr(self.client, method)
        if body is None:
            return call(ROOT + path, headers=headers)
        return call(ROOT + path, body, content_type="application/json", headers=headers)

    def post(self, path: str = "", body: Any = None, **headers: Any) -> Any:
        return self.send("post", path, body, **headers)

    def data(self, path: str = "", **query: Any) -> Any:
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.content
        return answer.json()["data"]

    def done(self, path: str, body: Any = None) -> Any:
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.content
        return answer.json()["data"]


@pytest.fixture
def api(owner: User) -> Api:
    return Api(caller(owner))


@pytest.fixture
def strange_api(stranger: User) -> Api:
    return Api(caller(stranger))


@pytest.fixture
def staff_api(db: None) -> Api:
    return Api(caller(User.objects.create_user("boss", is_staff=True)))


@pytest.fixture
def mixed(owner: User, account: ProviderAccount) -> Mission:
    """Items 1 and 2 failed for one reason, 3 for another; 4 succeeded; 5 is unconfirmed; 6 runs; 7 waits."""
    mission = make_mission(owner, 7)
    ids = claim(mission, account, 6)
    statuses = ["failed", "failed", "refused", "succeeded", "unconfirmed", "running"]
    for status, attempt_id in zip(statuses, ids, strict=True):
        bring_to(status, attempt_id)
    mission.refresh_from_db()
    return mission


def errors_of(answer: Any) -> dict[str, str]:
    """A 422 answer's errors by field."""
    assert answer.status_code == 422, answer.content
    body = answer.json()
    assert (body["code"], body["error"], body["data"]) == (422, "invalid", None)
    return {error["field"]: error["message"] for error in body["errors"]}


def nothing_is_stored() -> bool:
    return not Mission.objects.exists() and not MissionItem.objects.exists()
