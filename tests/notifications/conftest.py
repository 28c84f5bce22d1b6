"""A receiver of messages, and moments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from notifications import announce, channels, delivery
from notifications.models import Channel, Delivery, Event
from tests import http_servers


class Receiver:
    """A program that receives messages. ``status`` and ``body`` are its next answers."""

    def __init__(self) -> None:
        self.status, self.body, self.more_headers = 200, b"ok", b""
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.server: Any = None

    def __call__(self, connection: Any) -> None:
        head, _, body = http_servers.read_request(connection).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        names = [line.partition(": ")[0].lower() for line in lines[1:]]
        values = [line.partition(": ")[2] for line in lines[1:]]
        headers = dict(zip(names, values, strict=True)) | {"": lines[0]}
        self.requests.append((headers, body))
        answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b"
        connection.sendall(answer % (self.status, len(self.body), self.more_headers, self.body))

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.requests]

    @property
    def url(self) -> str:
        return f"{self.server.url}/hooks/a-secret-path?token=abcdefgh"


@pytest.fixture
def receiver(settings: Settings, encryption_key: str) -> Iterator[Receiver]:
    receiver = Receiver()
    with http_servers.serving(receiver) as receiver.server:
        settings.NOTIFICATION_ALLOWED_HOSTS = [f"127.0.0.1:{receiver.server.port}"]
        yield receiver


@pytest.fixture
def webhook(owner: User, receiver: Receiver) -> Channel:
    channel, secret = channels.create(
        owner=owner, kind="webhook", address=receiver.url, events=["mission.finished", "mission.paused"]
    )
    channel.secret = secret  # type: ignore[attr-defined]
    return channel


def work() -> None:
    """Do what workers do now: announce what is due, and send what is due."""
    while announce.announce(timezone.now()):
        pass
    delivery.send_due(timezone.now())


def later(seconds: float) -> None:
    """Let time pass for every row, and work."""
    step = timedelta(seconds=seconds)
    for model, names in (
        (Event, ("available_at", "created_at")),
        (Channel, ("busy_until", "failing_since", "old_secret_until")),
        (Delivery, ("next_try_at", "created_at")),
    ):
        for row in model.objects.all():
            for name in names:
                value: datetime | None = getattr(row, name)
                setattr(row, name, value and value - step)
            row.save()
    work()
