"""A person who creates and changes missions while everything fails, and tidies up afterwards."""

from __future__ import annotations

import json
import math
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import requests
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from accounts import services as account_services
from billing.models import SpendingLimit
from core.errors import NotPossible
from devtools.simulators.runninghub.process import SimulatorProcess
from devtools.simulators.runninghub.tasks import GONE, RUNNING
from missions import services
from missions.models import Attempt, AttemptStatus, Mission, MissionItem, MissionStatus, Output, OutputStatus
from providers import provider_accounts
from providers.catalog.task_types import TaskType as Type
from providers.models import ProviderAccount
from tests.chaos.oracle import ALL_TASKS, Stop, prompt_of
from tests.factories import make_media, picture

ACTOR = "user:1"
# The kinds that RunningHub makes.
KINDS = [Type.TEXT_TO_IMAGE, Type.IMAGE_TO_IMAGE, Type.TEXT_TO_VIDEO, Type.IMAGE_TO_VIDEO]
VERBS = ["create", "pause", "resume", "cancel", "delete", "retry", "change", "unblock"]
WEIGHTS = [4, 3, 5, 1, 1, 3, 1, 8]
MOST_MISSIONS = 12
STILL_ON_ITS_WAY = timedelta(seconds=5)  # what a killed worker has sent may still arrive
API_SECONDS = 60.0


class Hands:
    """Actions through the services of the pages.  Each stop returns the submissions on the wire."""

    def __init__(self, owner: User) -> None:
        self.owner = owner

    def create(self, *, rows: list[Any], params: dict[str, Any], **fields: Any) -> None:
        services.submit_mission(owner=self.owner, rows=rows, params=params, **fields)

    def pause(self, mission_id: int) -> int:
        return len(services.pause_mission(mission_id=mission_id, actor=ACTOR).still_sending)

    def cancel(self, mission_id: int) -> int:
        return len(services.cancel_mission(mission_id=mission_id, actor=ACTOR).still_sending)

    def delete(self, mission_id: int) -> int:
        return len(services.delete_mission(mission_id=mission_id, actor=ACTOR).still_sending)

    def resume(self, mission_id: int) -> None:
        services.resume_mission(mission_id=mission_id, actor=ACTOR)

    def retry(self, mission_id: int) -> None:
        services.retry_failed(mission_id=mission_id, actor=ACTOR)


class ApiHands(Hands):
    """Actions over the HTTP API.  A creation is repeated under its key until it is answered."""

    def __init__(self, owner: User, base: str) -> None:
        super().__init__(owner)
        self.base = f"{base}/api/v1/missions"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {account_services.create_token(user=owner, name='chaos')[1]}"

    def create(self, *, rows: list[Any], params: dict[str, Any], **fields: Any) -> None:
        body = json.dumps({**fields, "config": {**params, "batch_input": rows}}, cls=DjangoJSONEncoder)
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/json"}
        deadline = time.monotonic() + API_SECONDS
        while time.monotonic() < deadline:
            with suppress(requests.ConnectionError):
                answer = self.session.post(f"{self.base}/submit", data=body, headers=headers, timeout=API_SECONDS)
                if answer.status_code < 500 and answer.status_code != requests.codes.conflict:
                    _expect(answer)
                    return
            time.sleep(0.3)

    def pause(self, mission_id: int) -> int:
        return int(self._post(mission_id, "pause")["still_sending_count"])

    def cancel(self, mission_id: int) -> int:
        return int(self._post(mission_id, "cancel")["still_sending_count"])

    def delete(self, mission_id: int) -> int:
        answer = self.session.delete(f"{self.base}/{mission_id}", timeout=API_SECONDS)
        _expect(answer)
        return int(answer.json()["data"]["still_sending_count"])

    def resume(self, mission_id: int) -> None:
        self._post(mission_id, "resume")

    def retry(self, mission_id: int) -> None:
        self._post(mission_id, "retry")

    def _post(self, mission_id: int, verb: str) -> Any:
        answer = self.session.post(f"{self.base}/{mission_id}/{verb}", timeout=API_SECONDS)
        _expect(answer)
        return answer.json()["data"]


def _expect(answer: requests.Response) -> None:
    """Return True for 2xx, a refusal for the mission's state, or a failing server."""
    if answer.status_code in (404, 409) or answer.status_code >= 500:
        raise NotPossible(answer.text)
    answer.raise_for_status()


class Person:
    """A thread of random actions that records stops and unexpected errors."""

    def __init__(self, owner: User, hands: list[Hands], round_: int, cap: int, dice: random.Random) -> None:
        self.owner = owner
        self.hands = hands
        self.round = round_
        self.cap = cap
        self.dice = dice
        self.stops: list[Stop] = []
        self.errors: list[str] = []
        self.did: Counter[str] = Counter()
        self.made = 0
        self.media = [make_media(owner, content=picture(colour=colour)).pk for colour in ("red", "blue")]
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._act, name="person")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_done.set()
        self._thread.join()

    def _act(self) -> None:
        for _ in range(self.dice.randint(3, 5)):
            self._do("create")
        while not self._is_done.wait(self.dice.uniform(0.1, 1.5)):
            self._do(self.dice.choices(VERBS, WEIGHTS)[0])
        connections.close_all()

    def _do(self, verb: str) -> None:
        try:
            getattr(self, f"_{verb}")(self.dice.choice(self.hands))
            self.did[verb] += 1
        except (NotPossible, services.MissionInvalid, Mission.DoesNotExist):
            self.did[f"{verb}, refused"] += 1
        except (DatabaseError, InterfaceError, requests.RequestException):
            self.did[f"{verb}, in vain"] += 1
            connections.close_all()
        except Exception as error:  # noqa: BLE001  whatever else a verb raises is a defect
            self.errors.append(f"{verb}: {error!r}")

    # --- Making ---

    def _create(self, hands: Hands) -> None:
        if self.made == MOST_MISSIONS:
            return
        self.made += 1
        hands.create(**self._order(f"chaos {self.round}.{self.made:02d} "))

    def _order(self, prefix: str) -> dict[str, Any]:
        """Create a random mission; its name ``prefix`` begins all its prompts."""
        dice = self.dice
        task_type = dice.choices(KINDS, [6, 4, 1, 2])[0]
        rows = [
            self._row(task_type, f"{prefix}{number:03d}")
            for number in range(1, dice.choice([1, self.cap, 2 * self.cap, 4 * self.cap]) + 1)
        ]
        order: dict[str, Any] = {"name": prefix, "task_type": task_type.value, "rows": rows, "params": {}}
        order["priority"] = dice.choice([0, 0, 0, 5, -5])
        order["max_attempts"] = dice.choice([1, 2, 3])
        if dice.random() < 0.2:
            order["not_before"] = timezone.now() + timedelta(seconds=dice.uniform(0.5, 4))
        if dice.random() < 0.2:
            order["spending_limit"] = Decimal(dice.randint(1, 8)) / 4
        return order

    def _row(self, task_type: Type, prompt: str) -> dict[str, Any]:
        image = f"media:{self.dice.choice(self.media)}"
        files: dict[Type, dict[str, Any]] = {
            Type.IMAGE_TO_IMAGE: {"imageUrls": [image]},
            Type.IMAGE_TO_VIDEO: {"imageUrls": [image]},
        }
        return {"prompt": prompt, **files.get(task_type, {})}

    # --- Meddling ---

    def _some(self, *statuses: MissionStatus) -> Mission:
        """Return a random mission in one of the statuses.  Raises Mission.DoesNotExist."""
        found = list(Mission.objects.filter(status__in=statuses, delete_requested_at=None))
        if not found:
            raise Mission.DoesNotExist
        return self.dice.choice(found)

    def _pause(self, hands: Hands) -> None:
        self._stopped("pause", self._some(*ACTIVE), hands.pause)

    def _cancel(self, hands: Hands) -> None:
        self._stopped("cancel", self._some(*ACTIVE, MissionStatus.PAUSED), hands.cancel)

    def _delete(self, hands: Hands) -> None:
        mission = self._some(*MissionStatus)
        self.stops.append(Stop("delete", mission.name, at=math.inf))  # it may go even if we get no answer
        self._stopped("delete", mission, hands.delete)

    def _stopped(self, verb: str, mission: Mission, stop: Callable[[int], int]) -> None:
        still_sending = stop(mission.pk)
        self.stops.append(Stop(verb, mission.name, at=time.time(), still_sending=still_sending))

    def _resume(self, hands: Hands) -> None:
        self.resume(self._some(MissionStatus.PAUSED), hands)

    def resume(self, mission: Mission, hands: Hands) -> None:
        self._lift(mission)
        hands.resume(mission.pk)

    def _lift(self, mission: Mission) -> None:
        """From now on the mission may be at work again, although it was paused."""
        now = time.time()
        self.stops = [
            replace(stop, until=min(stop.until, now)) if stop.verb == "pause" and stop.prefix == mission.name else stop
            for stop in self.stops
        ]

    def _retry(self, hands: Hands) -> None:
        failed = Mission.objects.filter(failed_count__gt=0, delete_requested_at=None).order_by("?").first()
        if failed is None:
            return
        if failed.status != MissionStatus.PAUSED:  # it was, perhaps; then it ended, and a retry sets it to work
            self._lift(failed)
        hands.retry(failed.pk)

    def _change(self, hands: Hands) -> None:
        priority = self.dice.randint(-9, 9)
        services.change_mission(mission_id=self._some(*ACTIVE).pk, priority=priority)

    def _unblock(self, hands: Hands) -> None:
        """Resume paused and throttled accounts: else a few refusals would stop all others."""
        for account in ProviderAccount.objects.all():
            provider_accounts.resume(account.pk)


ACTIVE = (MissionStatus.SCHEDULED, MissionStatus.QUEUED, MissionStatus.RUNNING)


# --- Putting in order ---


def put_in_order(person: Person, simulator: SimulatorProcess) -> None:
    """Resume missions, lift limits and check the provider's site, once the faults have ended."""
    SpendingLimit.objects.filter(user=person.owner).delete()
    for account in ProviderAccount.objects.exclude(paused_at=None):
        provider_accounts.resume(account.pk)
    for mission in Mission.objects.filter(status=MissionStatus.PAUSED, delete_requested_at=None):
        services.change_mission(mission_id=mission.pk, spending_limit=None)
        with suppress(NotPossible):
            person.resume(mission, Hands(person.owner))
    tasks = [task for task in simulator.tasks(limit=ALL_TASKS) if task["status"] != GONE]  # those are not on the site
    _cancel_endless(tasks, simulator)
    _resolve({str(task["params"].get("prompt")): task["id"] for task in reversed(tasks)})


def _cancel_endless(tasks: list[dict[str, Any]], simulator: SimulatorProcess) -> None:
    """Tasks that never end are cancelled on the provider's site."""
    for task in tasks:
        if task["outcome"] == "never" and task["status"] == RUNNING:
            body = {"apiKey": "a person at the site", "taskId": task["id"]}
            requests.post(f"{simulator.url}/task/openapi/cancel", json=body, timeout=10)


def _resolve(latest: dict[str, str]) -> None:
    """Resolve unconfirmed items by the provider's site: ``latest`` task of each prompt."""
    sent_long_ago = Attempt.objects.filter(
        status=AttemptStatus.UNCONFIRMED, sending_at__lt=timezone.now() - STILL_ON_ITS_WAY
    )
    for item in MissionItem.objects.filter(attempts__in=sent_long_ago).select_related("mission"):
        known = set(item.attempts.exclude(remote_task_id="").values_list("remote_task_id", flat=True))
        task_id = latest.get(prompt_of(item), "")
        with suppress(NotPossible):
            if task_id and task_id not in known:
                services.resolve_with_task(item=item, remote_task_id=task_id, actor=ACTOR)
            elif not item.attempts.exclude(hinted_task_id="").exists():
                services.resolve_as_not_run(item=item, actor=ACTOR)


def open_business() -> Iterator[str]:
    """Return a description of everything that has not ended."""
    for mission in Mission.objects.all():
        if mission.delete_requested_at:
            yield f"mission {mission.pk} waits for its removal"
        elif mission.pending_count + mission.in_flight_count + mission.unconfirmed_count or mission.ended_at is None:
            yield f"mission {mission.pk} is {mission.status}: {mission.counts}"
    pending = Output.objects.filter(status=OutputStatus.PENDING).count()
    if pending:
        yield f"{pending} files are still to be fetched"
