"""``manage.py make_history``: fill a database with millions of finished items, to measure pages.

The rows are written in bulk, without the engine: only for databases that are thrown away.
"""

from __future__ import annotations

import itertools
import random
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.db.models import Max
from django.utils import timezone

from core.db.bulk import Table
from missions.maintenance import spend_rollup
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
from providers import catalog, provider_accounts
from providers.adapters.base import SIMULATOR_KEY
from providers.models import ProviderAccount

DAYS = 40
PEOPLE = 8
SIZES = (40, 120, 300, 600, 1200, 4000)  # items of a mission
FAILED, RETRIED = 0.04, 0.04  # shares of all items
# One mission in so many ran in the last hours, is paused, has unconfirmed items.
RECENT, PAUSED, UNCONFIRMED = 25, 40, 100
CHUNK = 20_000  # items that are written together
IS_SQLITE = connection.vendor == "sqlite"


@dataclass(frozen=True, slots=True)
class Kind:
    """A model: the price and duration of one result, and how often it is used."""

    endpoint: str
    task_type: str
    price: str
    seconds: float
    weight: int


KINDS = (
    Kind("rhart-image-v1/text-to-image", "text_to_image", "0.05", 12, 10),
    Kind("rhart-image-v1/edit", "image_to_image", "0.05", 15, 6),
    Kind("rhart-image-n-pro/text-to-image", "text_to_image", "0.18", 30, 5),
    Kind("rhart-video-v3.1-lite/text-to-video", "text_to_video", "0.3", 180, 2),
    Kind("rhart-video-v3.1-lite/image-to-video", "image_to_video", "0.3", 200, 2),
)
# Code, message, True if the provider had accepted the task.
CAUSES = (
    ("1501", "The prompt or an image was refused by the content check.", True),
    ("1015", "The task failed at the provider.", True),
    ("1007", "A parameter was refused.", False),
    ("deadline", "The task did not end in time.", True),
)


class Command(BaseCommand):
    help = "Fill an empty database with an invented history, for measurements. Nothing is sent, and there are no files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--items", type=int, default=100_000)
        parser.add_argument("--mission-size", type=int, default=0, help="items of each mission (0: from 40 to 4000)")
        parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same history (1)")
        parser.add_argument("--force", action="store_true", help="even if there are missions, or the site is in use")

    def handle(self, *args: Any, items: int, mission_size: int, seed: int, force: bool, **options: Any) -> None:
        if not force and Mission.objects.exists():
            raise CommandError("There are missions in this database. Set DATABASE_URL to an empty one, or add --force.")
        has_real_key = (
            not set(provider_accounts.environment_keys().values()) <= {"", SIMULATOR_KEY}
            or ProviderAccount.objects.exclude(sealed_key="").exists()
        )
        if not force and (settings.PUBLIC_BASE_URL or has_real_key):
            raise CommandError("This site is in use: it has an API key or a public URL. Add --force if it is not.")
        random.seed(seed)
        if IS_SQLITE:
            connection.cursor().execute("PRAGMA cache_size = -400000")  # indexes grow at random places
        with transaction.atomic():
            count = History(timezone.now(), items, [mission_size] if mission_size else SIZES).write()
        if not IS_SQLITE:
            connection.cursor().execute("ANALYZE")  # PostgreSQL does this by itself after a while
        spend_rollup.count(timezone.now())
        self.stdout.write(f"{items:,} items in {count:,} missions of {PEOPLE} people, over {DAYS} days.")


def next_ids(model: type[models.Model]) -> Iterator[int]:
    last = model._default_manager.aggregate(last=Max("pk"))["last"] or 0
    return itertools.count(last + 1)


@dataclass
class History:
    """``items`` invented items, the latest of which ends at ``now``."""

    now: datetime
    items: int
    sizes: Sequence[int] = SIZES
    missions: list[Mission] = field(default_factory=list)

    def write(self) -> int:
        """Write all rows. Return the number of missions."""
        self.account = provider_accounts.environment_account()
        people = [User.objects.get_or_create(username=f"history-{number}")[0] for number in range(1, PEOPLE + 1)]
        self.mission_ids, self.item_ids, self.attempt_ids = map(next_ids, (Mission, MissionItem, Attempt))
        self.item_table = Table(MissionItem, *_ITEM_COLUMNS)
        self.attempt_table = Table(Attempt, *_ATTEMPT_COLUMNS)
        self.output_table = Table(Output, *_OUTPUT_COLUMNS)
        self.event_table = Table(ItemEvent, *_EVENT_COLUMNS)
        number, left = 0, self.items
        while left > 0:
            number, size = number + 1, min(random.choice(self.sizes), left)
            left -= size
            self.add_mission(number, random.choice(people), size)
            if len(self.item_table.rows) > CHUNK:
                self._flush()
        self._flush()
        for statement in connection.ops.sequence_reset_sql(no_style(), [Mission, MissionItem, Attempt]):
            with connection.cursor() as cursor:
                cursor.execute(statement)
        return number

    def _flush(self) -> None:
        Mission.objects.bulk_create(self.missions)
        self.missions = []
        for table in (self.item_table, self.attempt_table, self.output_table, self.event_table):
            table.write()

    def add_mission(self, number: int, owner: User, size: int) -> None:
        """Add the mission with this number, which decides how it stands, and its items."""
        kind = random.choices(KINDS, [kind.weight for kind in KINDS])[0]
        model = catalog.get_model(kind.endpoint)
        age = timedelta(hours=3) if number % RECENT == 0 else timedelta(days=DAYS)
        began = self.now - age * random.random() - timedelta(minutes=5)
        mission = Mission(
            pk=next(self.mission_ids),
            owner=owner,
            name=f"History {number}",
            task_type=kind.task_type,
            provider=model.provider,
            model=model.endpoint,
            currency=model.currency,
            params={"aspectRatio": "16:9"},
            estimated_cost=Decimal(kind.price) * size,
            created_at=began,
            started_at=began,
        )
        # Results at regular intervals: about 25 tasks at the same time.
        step = min(timedelta(seconds=kind.seconds / 25), (self.now - began) / (size + 1))
        statuses = Counter[str]()
        for index in range(1, size + 1):
            if number % PAUSED == 1 and index > size * 0.7:
                status = ItemStatus.PENDING.value
            elif number % UNCONFIRMED == 2 and index > size - 3:
                status = ItemStatus.UNCONFIRMED.value
            else:
                status = ItemStatus.FAILED.value if random.random() < FAILED else ItemStatus.COMPLETED.value
            statuses[status] += 1
            self.add_item(mission, kind, index, began + step * index, status)
        for status, count in statuses.items():
            setattr(mission, f"{status}_count", count)
        mission.total_count = statuses.total()
        mission.cost = Decimal(kind.price) * mission.completed_count
        if mission.pending_count or mission.unconfirmed_count:
            mission.status, mission.pause_reason = MissionStatus.PAUSED, "An invented history."
        else:
            mission.status, mission.ended_at = MissionStatus.COMPLETED, began + step * size
        self.missions.append(mission)

    def add_item(self, mission: Mission, kind: Kind, index: int, end: datetime, status: str) -> None:
        """Add an item with its attempts and event."""
        pk, ended_at = next(self.item_ids), _stored(end)
        code, message, was_accepted = random.choice(CAUSES) if status == ItemStatus.FAILED else ("", "", True)
        attempts = 0 if status == ItemStatus.PENDING else 2 if random.random() < RETRIED else 1
        for number in range(1, attempts + 1):
            outcome = status if number == attempts else ItemStatus.FAILED
            self.add_attempt(
                pk, number, kind, mission.currency, end, outcome, code or "1015" * (number < attempts), was_accepted
            )
        cost = kind.price if status == ItemStatus.COMPLETED else "0"
        is_over = status in (ItemStatus.COMPLETED, ItemStatus.FAILED)
        params = f'{{"prompt": "a lighthouse at dusk, oil on canvas, number {index}"}}'
        paid = attempts if was_accepted else attempts - 1
        times = (ended_at if is_over else None, ended_at, ended_at)
        self.item_table.add(pk, mission.pk, index, params, status, attempts, paid, code, message, cost, *times)
        self.event_table.add(mission.pk, pk, "processing", status, ended_at)

    def add_attempt(
        self,
        item_id: int,
        number: int,
        kind: Kind,
        currency: str,
        end: datetime,
        outcome: str,
        code: str,
        was_accepted: bool,
    ) -> None:
        pk = next(self.attempt_ids)
        duration = timedelta(seconds=kind.seconds * random.uniform(0.7, 1.6))
        accepted_at, sent_at = (
            _stored(end - duration),
            _stored(end - duration - timedelta(seconds=random.uniform(0.2, 1.5))),
        )
        has_ended, has_result = outcome != ItemStatus.UNCONFIRMED, outcome == ItemStatus.COMPLETED
        is_accepted = was_accepted and has_ended
        self.attempt_table.add(
            pk,
            item_id,
            number,
            self.account.pk,
            _ATTEMPT_STATUS[outcome] if was_accepted else AttemptStatus.REFUSED.value,
            kind.endpoint,
            currency,
            secrets.token_urlsafe(24),
            f"h{pk}" if is_accepted else "",
            code,
            kind.price if has_result else None,
            sent_at,
            sent_at,
            accepted_at if is_accepted else None,
            _stored(end) if has_ended else None,
        )
        if has_result:
            name = f"history/{pk}.png"
            size = random.randint(200_000, 3_000_000)
            self.output_table.add(item_id, pk, 1, OutputStatus.STORED.value, name, "image/png", size, _stored(end))


def _stored(moment: datetime) -> Any:
    """Return a time as the database stores it.

    Django's own adapter is slow for five million values.
    """
    return str(moment.replace(tzinfo=None)) if IS_SQLITE else moment


_ITEM_COLUMNS: Sequence[str] = (
    "id",
    "mission_id",
    "index",
    "params",
    "status",
    "submission_count",
    "attempt_count",
    "error_code",
    "error_message",
    "cost",
    "ended_at",
    "available_at",
    "created_at",
)
_ATTEMPT_COLUMNS: Sequence[str] = (
    "id",
    "item_id",
    "number",
    "account_id",
    "status",
    "model",
    "currency",
    "webhook_token",
    "remote_task_id",
    "error_code",
    "cost",
    "created_at",
    "sending_at",
    "accepted_at",
    "ended_at",
)
_OUTPUT_COLUMNS: Sequence[str] = (
    "item_id",
    "attempt_id",
    "index",
    "status",
    "file",
    "content_type",
    "size_bytes",
    "stored_at",
)
_EVENT_COLUMNS: Sequence[str] = ("mission_id", "item_id", "from_status", "to_status", "at")
_ATTEMPT_STATUS = {
    ItemStatus.COMPLETED.value: AttemptStatus.SUCCEEDED.value,
    ItemStatus.FAILED.value: AttemptStatus.FAILED.value,
    ItemStatus.UNCONFIRMED.value: AttemptStatus.UNCONFIRMED.value,
}
