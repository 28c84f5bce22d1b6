"""API calls of the tests, and checks of their answers."""

from __future__ import annotations

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.factories import picture


def upload(client: Client, content: bytes | None = None, name: str = "cat.png", content_type: str = "image/png") -> Any:
    file = SimpleUploadedFile(name, picture() if content is None else content, content_type)
    return client.post("/api/v1/media/upload", {"file": file})


def send(client: Client, method: str, path: str, payload: Any) -> Any:
    return client.generic(method, f"/api/v1{path}", json.dumps(payload), content_type="application/json")


def data(response: Any, status: int = 200) -> Any:
    """Return the payload of a response that must be a success."""
    assert response.status_code == status, response.content
    body = response.json()
    assert body["code"] == 0
    return body["data"]


def errors(response: Any, status: int = 422) -> dict[str, str]:
    """Return the messages by field of a response that must be an error."""
    assert response.status_code == status, response.content
    body = response.json()
    assert body["code"] == status
    assert body["data"] is None
    return {error["field"]: error["message"] for error in body["errors"]}
