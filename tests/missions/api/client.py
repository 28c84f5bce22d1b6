"""A client of ``/missions`` and checks of its answers."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from missions.models import Mission, MissionItem

ROOT = "/api/v1/missions"


class Api:
    """A caller of ``/missions``.

    ``data`` and ``done`` require a success and return its data; the others return the response.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(ROOT + path, query)

    def send(self, method: str, path: str, body: Any = None, **headers: Any) -> Any:
        if body is None:
            return self.client.generic(method.upper(), ROOT + path, headers=headers)
        text = body if isinstance(body, str) else json.dumps(body)
        return self.client.generic(method.upper(), ROOT + path, text, "application/json", headers=headers)

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


def errors_of(answer: Any) -> dict[str, str]:
    """Return the errors of a 422 response by field."""
    assert answer.status_code == 422, answer.content
    body = answer.json()
    assert (body["code"], body["error"], body["data"]) == (422, "invalid", None)
    return {error["field"]: error["message"] for error in body["errors"]}


def nothing_is_stored() -> bool:
    return not Mission.objects.exists() and not MissionItem.objects.exists()
