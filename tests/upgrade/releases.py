"""The schemas of former releases, and a site of that time with rows of its models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.utils import timezone

from providers.adapters.base import Provider, ProviderSettings, SubmitRequest
from tests.factories import TEXT_TO_IMAGE, picture

# The latest migration of each of our apps in a release.  An app that is not named was not there.
RELEASES = {
    "0.1.0": {
        "accounts": "0001_initial",
        "media": "0001_initial",
        "missions": "0002_broker_index",
        "templates_app": "0001_initial",
    },
    "0.2.0": {
        "accounts": "0006_plural_names",
        "drafts": "0001_initial",
        "media": "0003_plural_names",
        "missions": "0014_tally_removal_count",
        "templates_app": "0002_plural_names",
    },
}
FIRST = RELEASES["0.1.0"]
OURS = (
    "accounts",
    "billing",
    "core",
    "drafts",
    "media",
    "missions",
    "notifications",
    "operations",
    "providers",
    "sharing",
    "templates_app",
    "workers",
)
TOKEN = "rhb_of_the_first_release"
PRICE = Decimal("0.25")


def schema_of(release: str) -> list[tuple[str, str | None]]:
    """Return migration targets: our apps at a release, all others at their newest."""
    others = [node for node in MigrationExecutor(connection).loader.graph.leaf_nodes() if node[0] not in OURS]
    apps = RELEASES[release]
    return [*others, *apps.items(), *((app, None) for app in OURS if app not in apps)]


def go_to(targets: Iterable[tuple[str, str | None]]) -> Any:
    """Migrate forward or backward.  Return the registry of apps at that state."""
    nodes = list(targets)
    executor = MigrationExecutor(connection)
    executor.migrate(nodes)
    return executor.loader.project_state([node for node in nodes if node[1]]).apps


@dataclass(frozen=True, slots=True)
class Step:
    """An item: how it came to where it is, and the attempt that brought it there."""

    path: tuple[str, ...]  # its statuses
    attempt: str = ""  # the attempt's status

    @property
    def status(self) -> str:
        return self.path[-1]


TAKEN_UP = ("pending", "submitting")
IN_FLIGHT = {
    "waits": Step(("pending",)),
    "prepared": Step(TAKEN_UP, "prepared"),
    "sending": Step(TAKEN_UP, "sending"),
    "running": Step((*TAKEN_UP, "processing"), "running"),
    "unconfirmed": Step((*TAKEN_UP, "unconfirmed"), "unconfirmed"),
    "completed": Step((*TAKEN_UP, "processing", "completed"), "succeeded"),
    "failed": Step((*TAKEN_UP, "processing", "failed"), "failed"),
    "refused": Step((*TAKEN_UP, "failed"), "refused"),
}
PAID = ("running", "unconfirmed", "succeeded", "failed")


class FormerSite:
    """Rows in the tables of a former release; ``running_task`` is a task at the provider."""

    def __init__(self, apps: Any, release: str, *, key_fingerprint: str, running_task: str) -> None:
        self.apps, self.release = apps, release
        self.running_task = running_task
        self.now = timezone.now()
        self.owner = apps.get_model("auth", "User").objects.create(username="mei", password="!")
        self.account = self.make("ProviderAccount", name="environment", key_fingerprint=key_fingerprint, tick_number=7)
        self.media = self._media()
        self.template = self._make_of(
            "templates_app", "MissionTemplate", name="Square", task_type="text_to_image",
            config={"model": TEXT_TO_IMAGE, "params": {"aspectRatio": "1:1"}, "batch_fields": ["prompt"]},
        )  # fmt: skip
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        self._make_of("accounts", "ApiToken", key="user", name="script", digest=digest, prefix=TOKEN[:12])
        later = self.now + timedelta(hours=20)
        self.make(
            "ProviderUpload",
            account=self.account,
            sha256=self.media.sha256,
            url="https://a.example/1",
            expires_at=later,
        )
        self.make("WorkerCluster", host="old", pid=1, pid_started_at=1.0, beat_at=self.now - timedelta(hours=1))

        self.at_work = self.mission("At work", "running", IN_FLIGHT, template=self.template)
        self.stopped = self.mission("Stopped", "cancelled", {"cancelled": Step((*TAKEN_UP, "cancelled"), "void")})
        self.with_files = self.mission(
            "With files", "paused", {"waits": Step(("pending",))}, task_type="image_to_image",
            model="rhart-image-v1/edit", pause_reason="Paused by a person.", rows={"imageUrls": [f"media:{self.media.pk}"]},
        )  # fmt: skip
        if release != "0.1.0":
            self.make("MissionMedia", mission=self.with_files, media=self.media)
        self.planned = self.mission(
            "Planned", "scheduled", {"waits": Step(("pending",))}, not_before=self.now + timedelta(days=3)
        )

    def make(self, model: str, /, **fields: Any) -> Any:
        return self.apps.get_model("missions", model).objects.create(**fields)

    def mission(self, name: str, status: str, steps: Mapping[str, Step], **more: Any) -> Any:
        rows = more.pop("rows", {})
        fields = {"task_type": "text_to_image", "model": TEXT_TO_IMAGE, "params": {"aspectRatio": "1:1"}} | more
        counts: dict[str, int] = {}
        for step in steps.values():
            counts[f"{step.status}_count"] = counts.get(f"{step.status}_count", 0) + 1
        mission = self.make(
            "Mission", owner=self.owner, name=name, status=status, total_count=len(steps), started_at=self.now,
            metadata={"order": 7}, **counts, **fields,
        )  # fmt: skip
        before = {"scheduled": [], "running": ["queued"]}.get(status, ["queued"])
        self._tell(mission, None, ["", *before, status])
        for index, (word, step) in enumerate(steps.items(), start=1):
            self._item(mission, index, step, {"prompt": f"{name}: {word}"} | rows)
        return mission

    def _item(self, mission: Any, index: int, step: Step, params: dict[str, Any]) -> None:
        is_over = step.status in ("completed", "failed", "cancelled")
        item = self.make(
            "MissionItem", mission=mission, index=index, custom_id=f"row-{index}", params=params, status=step.status,
            account=self.account if step.attempt else None, submission_count=bool(step.attempt),
            attempt_count=step.attempt in PAID, ended_at=self.now if is_over else None,
        )  # fmt: skip
        self._tell(mission, item, step.path)
        if step.attempt:
            self._attempt(mission, item, step.attempt)

    def _attempt(self, mission: Any, item: Any, status: str) -> None:
        was_sent, was_accepted = status not in ("prepared", "void"), status in ("running", "succeeded", "failed")
        tasks = {"running": self.running_task, "succeeded": "1", "failed": "2"}
        attempt = self.make(
            "Attempt", item=item, number=1, account=self.account, status=status, model=mission.model,
            request=item.params if was_sent else {}, worker="old:1", webhook_token=f"token-{item.pk}",
            remote_task_id=tasks.get(status, ""), sending_at=self.now if was_sent else None,
            accepted_at=self.now if was_accepted else None, next_poll_at=self.now if status == "running" else None,
            cost=PRICE if status == "succeeded" else None, raw={"answer": "untouched"},
        )  # fmt: skip
        if status == "succeeded":
            self._output(mission, item, attempt)

    def _output(self, mission: Any, item: Any, attempt: Any) -> None:
        self.make(
            "Output", item=item, attempt=attempt, index=1, status="stored", file=f"missions/{mission.pk}/1.png",
            content_type="image/png", size_bytes=4, sha256="0" * 64, extension="png", stored_at=self.now,
        )  # fmt: skip
        for row in (item, mission):
            type(row).objects.filter(pk=row.pk).update(cost=F("cost") + PRICE)

    def _tell(self, mission: Any, item: Any, path: Iterable[str]) -> None:
        for before, after in pairwise(path):
            self.make("ItemEvent", mission=mission, item=item, from_status=before, to_status=after)

    def _media(self) -> Any:
        content = picture()
        name = default_storage.save("media/2026/11/cat.png", ContentFile(content))
        digest = hashlib.sha256(content).hexdigest()
        return self._make_of(
            "media",
            "MediaFile",
            file=name,
            name="猫.png",
            sha256=digest,
            content_type="image/png",
            size_bytes=len(content),
        )

    def _make_of(self, app: str, model: str, /, *, key: str = "owner", **fields: Any) -> Any:
        return self.apps.get_model(app, model).objects.create(**{key: self.owner}, **fields)


def rows(apps: Any) -> dict[str, dict[Any, dict[str, Any]]]:
    """Return everything that is stored, by table and primary key."""
    known = [config.label for config in apps.get_app_configs()]
    models = [model for label in OURS if label in known for model in apps.get_app_config(label).get_models()]
    return {
        model._meta.db_table: {row["pk"]: row for row in model._base_manager.values("pk", *_columns(model))}
        for model in models
    }


def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def fingerprint(opened: ProviderSettings) -> str:
    """Return the fingerprint of key and address as the first release computed it."""
    return hashlib.sha256(f"{opened.base_url} {opened.api_key}".encode()).hexdigest()[:16]


def start_task(provider: Provider, prompt: str) -> str:
    """Have the provider run a task, as a worker of the first release had.  Returns its id."""
    return provider.submit(SubmitRequest(TEXT_TO_IMAGE, {"prompt": prompt, "aspectRatio": "1:1"})).state.task_id
