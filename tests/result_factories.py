"""Missions whose results are stored, made without a provider."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from missions import lifecycle
from missions.models import (
    Attempt,
    AttemptStatus,
    ItemEvent,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
    OutputStatus,
)
from missions.results import download
from providers import provider_accounts
from tests.factories import accept, begin, claim


def succeed_with(attempt_id: int, contents: Sequence[bytes | str]) -> list[Output]:
    """Bring a running attempt to its end; bytes are files still to be stored, a str is a text."""
    results = [
        lifecycle.NewOutput(text=content)
        if isinstance(content, str)
        else lifecycle.NewOutput(url="https://a.example/1.png", extension="png")
        for content in contents
    ]
    later = timezone.now() + timedelta(days=1)
    success = lifecycle.Success(outputs=results, cost=None, raw={})
    lifecycle.succeed({attempt_id: success}, expires_at=later, first_try_at=later)
    return list(Output.objects.filter(attempt=attempt_id).order_by("index"))


def store(output: Output, content: bytes) -> None:
    name = f"{download.folder_of(output.item.mission_id)}/{output.item.index:05d}-1-{output.index}.png"
    storages["results"].save(name, ContentFile(content))
    digest = hashlib.sha256(content).hexdigest()
    facts = {"size_bytes": len(content), "content_type": "image/png", "extension": "png"}
    assert lifecycle.store_outputs({output.pk: {"file": name, "sha256": digest, **facts}})


def run(mission: Mission, *results: Sequence[bytes | str]) -> None:
    """Complete the mission's first items, each with its results."""
    attempts = claim(mission, provider_accounts.environment_account(), limit=len(results))
    for attempt_id, contents in zip(attempts, results, strict=True):
        assert begin(attempt_id)
        assert accept(attempt_id)
        for output, content in zip(succeed_with(attempt_id, contents), contents, strict=True):
            if isinstance(content, bytes):
                store(output, content)


def make_large(owner: User, items: int, *, file: str = "", size: int = 0, digest: str = "", **more: str) -> Mission:
    """Create a completed mission of many items in bulk, each with ``file`` as its result."""
    account = provider_accounts.environment_account()
    fields = {
        "name": "Large",
        "task_type": "text_to_image",
        "provider": "runninghub",
        "currency": "CNY",
        "model": "m",
        "params": {"aspectRatio": "1:1"},
    } | more
    mission = Mission.objects.create(
        owner=owner, status=MissionStatus.COMPLETED, total_count=items, completed_count=items, **fields
    )
    rows = MissionItem.objects.bulk_create(
        (
            MissionItem(
                mission=mission, index=n, status=ItemStatus.COMPLETED, params={"prompt": f"a teapot, number {n}"}
            )
            for n in range(1, items + 1)
        ),
        batch_size=1000,
    )
    if file:
        attempts = Attempt.objects.bulk_create(
            (Attempt(item=row, number=1, account=account, model="m", status=AttemptStatus.SUCCEEDED) for row in rows),
            batch_size=1000,
        )
        facts = {"status": OutputStatus.STORED, "file": file, "size_bytes": size, "sha256": digest, "extension": "png"}
        Output.objects.bulk_create(
            (Output(item=row, attempt=attempt, index=1, **facts) for row, attempt in zip(rows, attempts, strict=True)),
            batch_size=1000,
        )
    return mission


def make_half_done(owner: User, items: int, *, results: int = 0) -> Mission:
    """Create a running mission: half completed, a tenth failed for five causes, the rest waiting.

    So many of the completed have a ``result``, of which only the row is there.
    """
    now = timezone.now()
    done, failed = items // 2, items // 10
    counts = {"completed_count": done, "failed_count": failed, "pending_count": items - done - failed}
    mission = Mission.objects.create(
        owner=owner,
        name="Large",
        task_type="text_to_image",
        provider="runninghub",
        model="rhart-image-v1/text-to-image",
        currency="CNY",
        params={"aspectRatio": "1:1"},
        status=MissionStatus.RUNNING,
        total_count=items,
        started_at=now - timedelta(hours=1),
        estimated_cost=items // 20,
        **counts,
    )

    def item(index: int) -> MissionItem:
        params = {"prompt": f"a teapot of glass on a table by the window, number {index}"}
        row = MissionItem(mission=mission, index=index, params=params)
        if index <= done:
            row.status, row.ended_at = ItemStatus.COMPLETED, now - timedelta(milliseconds=100 * (done - index))
        elif index <= done + failed:
            row.status, row.ended_at = ItemStatus.FAILED, now
            row.error_code, row.error_message = f"{1500 + index % 5}", "It failed."
        return row

    rows = MissionItem.objects.bulk_create(map(item, range(1, items + 1)), batch_size=5000)
    _add_results(rows[done - results : done])
    return mission


def _add_results(rows: Sequence[MissionItem]) -> None:
    account = provider_accounts.environment_account()
    attempts = Attempt.objects.bulk_create(
        (Attempt(item=row, number=1, account=account, model="m", status=AttemptStatus.SUCCEEDED) for row in rows),
        batch_size=1000,
    )
    facts: dict[str, Any] = {
        "extension": "png",
        "content_type": "image/png",
        "status": OutputStatus.STORED,
        "width": 1024,
        "height": 1024,
    }
    Output.objects.bulk_create(
        (
            Output(item=row, attempt=attempt, index=1, file=f"{row.pk}.png", thumbnail=f"{row.pk}.jpg", **facts)
            for row, attempt in zip(rows, attempts, strict=True)
        ),
        batch_size=1000,
    )


def add_events(mission: Mission, count: int) -> list[int]:
    """Create events of the mission's first item and return the ids of all its events."""
    item = mission.items.first()
    ItemEvent.objects.bulk_create(
        (
            ItemEvent(mission=mission, item=item, from_status="pending", to_status="pending", reason=f"number {n}")
            for n in range(count)
        ),
        batch_size=1000,
    )
    return list(mission.events.order_by("pk").values_list("pk", flat=True))
