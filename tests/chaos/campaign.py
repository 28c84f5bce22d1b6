"""Rounds of trouble and calm.

A round has random missions, a person who changes them, and faults.  Then calm: the person resolves
what only a person can.  When everything has ended, a new mission needs every slot.  Then the oracle
checks all of it.  At last everything is deleted, and nothing may be left.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.storage import storages
from django.db import connections
from django.utils import timezone
from django_q.models import OrmQ, Task

from billing.models import Period, SpendingLimit
from core.money import MILLIONTH
from missions import services
from missions.maintenance import spend_rollup
from missions.models import Mission
from operations import statistics
from providers import provider_accounts
from providers.models import ProviderAccount
from tests.chaos import oracle
from tests.chaos.faults import PROVIDER, Scene
from tests.chaos.oracle import Violation, Witness
from tests.chaos.people import ACTOR, ApiHands, Hands, Person, open_business, put_in_order
from tests.factories import add_account
from tests.postgres_server import PostgresServer
from tests.process_fixtures import Stage, deadlocks

SHORTEST_ROUND = 30.0
SHORTEST_STORM = 16.0
LONGEST_STORM = 30.0
SHORTEST_CALM = 30.0
SECOND = "second"
PATIENCE = 90.0  # beyond what the slowest fault needs


@dataclass
class Round:
    """Results of one round."""

    number: int
    setting: str
    injected: Counter[str] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    missions: int = 0
    items: int = 0
    submits: int = 0
    paid: int = 0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)


class Campaign:
    """``rounds()`` plays one round after another until ``seconds`` are over."""

    def __init__(self, *, seed: int, seconds: float, folder: Path, port: int, server: PostgresServer | None) -> None:
        self.seed = seed
        self.folder = folder
        self.port = port
        self.server = server
        self.ends_at = time.monotonic() + seconds

    def rounds(self) -> Iterator[Round]:
        number = 0
        while number == 0 or self._left() > SHORTEST_ROUND:
            number += 1
            yield self._play(number)

    def _left(self) -> float:
        return self.ends_at - time.monotonic()

    def _play(self, number: int) -> Round:
        began = time.monotonic()
        dice = random.Random(f"{self.seed}/{number}")
        folder = self.folder / f"round-{number}"
        folder.mkdir()
        play = _Play(self, number, dice, folder)
        try:
            play.run()
        except (RuntimeError, AssertionError) as error:
            play.round.violations.append(Violation(f"The round broke off: {error}"))
        finally:
            play.close()
            connections.close_all()
        play.round.seconds = time.monotonic() - began
        return play.round


class _Play:
    """One round."""

    def __init__(self, campaign: Campaign, number: int, dice: random.Random, folder: Path) -> None:
        self.campaign = campaign
        self.dice = dice
        self.cap = dice.choice([4, 8, 12])
        self.has_web = dice.random() < 0.5
        self.has_second = dice.random() < 0.4
        self.owner = User.objects.create_user(f"chaos{number}")
        self.stage = Stage(
            folder,
            self.owner,
            port=campaign.port,
            cap=self.cap,
            seed=number,
            task_seconds=dice.choice([0.3, 1.0, 2.0]),
            task_jitter=0.3,
            submit_latency=dice.choice([0.0, 0.1, 0.3]),
            query_latency=dice.choice([0.0, 0.1]),
            slow_seconds=3.0,
            webhook_delay=2.0,
        )
        setting = f"cap {self.cap}, {'two keys' if self.has_second else 'one key'}"
        self.round = Round(number, setting + (", webhooks" if self.has_web else ""))
        self.person: Person | None = None
        self.scene: Scene | None = None

    def run(self) -> None:
        self._prepare()
        storm = min(LONGEST_STORM, max(self.campaign._left() / 3, SHORTEST_STORM))
        scene, person = self._open(seconds=max(self.campaign._left() - storm, SHORTEST_CALM))
        person.start()
        scene.storm(time.monotonic() + self.dice.uniform(storm / 2, storm))
        person.stop()
        scene.calm()
        self._settle()
        self._use_every_slot()
        self._judge()
        self._remove_everything()

    def close(self) -> None:
        self.stage.close()

    # --- Before ---

    def _prepare(self) -> None:
        """Accounts as for a first day."""
        Task.objects.all().delete()
        OrmQ.objects.all().delete()
        cache.clear()
        ProviderAccount.objects.all().delete()
        provider_accounts.environment_account()
        if self.has_second:
            add_account(SECOND, f"cap{self.cap}-{SECOND}", self.stage.simulator.url, concurrency=self.cap)
        if self.dice.random() < 0.2:
            amount = Decimal(self.dice.randint(10, 40))
            SpendingLimit.objects.create(user=self.owner, amount=amount, period=Period.EVER)
        self.deadlocks = deadlocks()

    def _open(self, *, seconds: float) -> tuple[Scene, Person]:
        hands: list[Hands] = [Hands(self.owner)]
        if self.has_web:
            hands.append(ApiHands(self.owner, self.stage.start_web().url))
        cluster = self.stage.start_workers(self.dice.choice([4, 8]), cap=self.cap)
        self.scene = Scene(self.stage, cluster, self.dice, self.campaign.server, seconds)
        self.person = Person(self.owner, hands, self.round.number, self.cap, random.Random(self.dice.random()))
        return self.scene, self.person

    # --- After ---

    def _settle(self) -> None:
        """Let people and machines bring everything to its end, and say what did not come to it."""
        assert self.person
        assert self.scene
        slowest = min(self.scene.seconds, max(PROVIDER.values()))
        deadline = time.monotonic() + max(slowest, SHORTEST_CALM) + PATIENCE
        while open_ := list(open_business()):
            if time.monotonic() > deadline:
                self._wrong(*(f"Did not come to its end: {what}" for what in open_))
                return
            put_in_order(self.person, self.stage.simulator)
            time.sleep(0.5)

    def _use_every_slot(self) -> None:
        """Check that a new mission gets every slot of every account: none leaked."""
        for account in ProviderAccount.objects.all():
            provider_accounts.resume(account.pk)
        simulator, slots = (
            self.stage.simulator,
            self.cap * ProviderAccount.objects.filter(provider="runninghub").count(),
        )
        simulator.set(task_seconds=4.0, task_jitter=0.0)
        mission = self.stage.mission(slots, name="every slot", rows=[f"every slot {n}" for n in range(slots)])
        self._wait(lambda: simulator.stats()["in_flight"] == slots, "a fresh mission did not get every slot")
        self._wait(lambda: not list(open_business()), f"the fresh mission {mission.pk} did not end")

    def _wait(self, condition: Callable[[], object], otherwise: str, limit: float = 45.0) -> None:
        deadline = time.monotonic() + limit
        while not condition():
            if time.monotonic() > deadline:
                self._wrong(f"Within {limit:.0f} s {otherwise}: {self.stage.state()}")
                return
            time.sleep(0.1)

    def _judge(self) -> None:
        assert self.person
        assert self.scene
        self.scene.cluster.stop()
        witness = Witness.hear(self.stage.simulator)
        missions = list(Mission.objects.order_by("pk"))
        self.round.injected, self.round.did = self.scene.injected, self.person.did
        self.round.missions, self.round.items = len(missions), sum(mission.total_count for mission in missions)
        self.round.submits, self.round.paid = len(witness.submits), len(witness.tasks)
        self.round.violations += oracle.violations(
            missions, witness, stops=self.person.stops, cap=self.cap, had_trouble=self.scene.had_trouble
        )
        self._wrong(*self.person.errors, *self.scene.errors)
        names = Counter(Mission.objects.values_list("name", flat=True))
        self._wrong(*(f"One request made {times} missions: {name}" for name, times in names.items() if times > 1))
        if deadlocks() > self.deadlocks:
            self._wrong("PostgreSQL had to end a deadlock.")

    def _remove_everything(self) -> None:
        spend_rollup.count(timezone.now())  # what was recorded late is in
        spent = spend_told()
        for mission in Mission.objects.all():
            services.delete_mission(mission_id=mission.pk, actor=ACTOR)
        self._wrong(*(f"Mission {mission.pk} could not be removed." for mission in Mission.objects.all()))
        if (left := spend_told()) != spent:
            self._wrong(f"{spent} was told as spent, and {left} when all missions were removed.")
        root = Path(storages["results"].path(""))
        self._wrong(*(f"After its mission was removed, {path} is left." for path in root.rglob("*") if path.is_file()))

    def _wrong(self, *texts: str) -> None:
        self.round.violations += map(Violation, texts)


def spend_told() -> Decimal:
    """Return the spend of 30 days as the control room reports it."""
    spends = statistics.spend(now=timezone.now())
    return sum((spend.amounts["days_30"] for spend in spends), Decimal(0)).quantize(MILLIONTH)
