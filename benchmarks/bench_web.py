"""``make bench-web``: open event streams and steady requests at once, on the web server as ``Procfile`` starts it.

    python -m benchmarks.bench_web --streams 200 --rate 50 --seconds 60
    python -m benchmarks.bench_web --missions 200 --database postgres://root@127.0.0.1/postgres

Every stream follows one of ``--missions`` that move, ``--moves`` items a second altogether; a process of its own moves them as
workers would.  Requests are begun when they are due, whether or not earlier ones were answered, and their times count from then.
Memory is the web process's PSS.  CPU is in percent of one core, for the web server, for the mover and for this load generator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench import STATE, free_port, save, scratch_site, web_process
from benchmarks.bench_api import mission as mission_of
from benchmarks.bench_download import server_on

USERS = 5
SHARES = {"items": 30, "mission": 20, "missions": 20, "mission page": 15, "missions page": 5, "create": 10}
TARGET_P95_MS = 250.0
SETTLE_SECONDS = 5.0


@dataclass
class Person:
    token: str
    session: str
    missions: list[int] = field(default_factory=list)


@dataclass
class Heard:
    """What one stream has brought."""

    mission_id: int
    start: int  # events after this one are due
    ids: list[int] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)  # seconds from an event to its arrival


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--missions", type=int, default=20, help="that the streams follow (20)")
    parser.add_argument("--moves", type=float, default=20.0, help="items that are worked off in a second (20)")
    parser.add_argument("--rate", type=float, default=50.0, help="requests in a second (50)")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    parser.add_argument("--json", type=Path, default=STATE.parent / "bench_web.json", help="where the figures go")
    parser.add_argument("--mover", nargs="*", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- What moves ---


def prepare(missions: int, items: int) -> list[Person]:
    """Some people with missions that have work for the whole time."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from accounts.services import create_token
    from missions import services

    call_command("migrate", verbosity=0)
    people = []
    for number in range(USERS):
        user, client = User.objects.create_user(f"bench{number}"), Client()
        client.force_login(user)
        person = Person(create_token(user=user, name="bench")[1], client.cookies["sessionid"].value)
        rows = [f"a lighthouse, number {row}" for row in range(items)]
        for turn in range(number, missions, USERS):
            made = services.submit_mission(owner=user, name=f"Mission {turn}", task_type="text_to_image", rows=rows)
            person.missions.append(made.pk)
        people.append(person)
    return people


def move(missions: list[int], rate: float) -> None:
    """Work items off, one after another and mission by mission, until somebody ends this process."""
    from missions.models import Mission
    from providers import provider_accounts
    from tests.factories import accept, begin, claim, succeed

    account = provider_accounts.environment_account()
    began, done = time.monotonic(), 0
    while True:
        for mission in Mission.objects.filter(pk__in=missions):
            for attempt_id in claim(mission, account):
                begin(attempt_id)
                accept(attempt_id)
                succeed(attempt_id)
            done += 1
            time.sleep(max(0.0, began + done / rate - time.monotonic()))


# --- Who asks ---


def head(method: str, path: str, person: Person, body: bytes = b"", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: 127.0.0.1", "Connection: close"]
    lines += [
        f"Authorization: Bearer {person.token}" if path.startswith("/api/") else f"Cookie: sessionid={person.session}"
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def connected(port: int, request: bytes) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """The status of the answer, and what follows its first line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        yield int((await reader.readline()).split()[1]), reader
    finally:
        writer.close()


async def listen(port: int, person: Person, heard: Heard) -> None:
    path = f"/api/v1/missions/{heard.mission_id}/events?after={heard.start}"
    async with connected(port, head("GET", path, person, version="1.0")) as (status, lines):
        if status != 200:
            raise RuntimeError(f"A stream was refused: {status}")
        async for line in lines:
            if line.startswith(b"id: "):
                heard.ids.append(int(line[4:]))
            elif line.startswith(b"data: ") and (place := line.find(b'"at": "')) > 0:
                at = datetime.fromisoformat(line[place + 7 : line.index(b'"', place + 7)].decode())
                heard.lags.append(time.time() - at.timestamp())


class Asker:
    """Makes requests of all kinds, and notes how long they took or how they failed."""

    def __init__(self, port: int, people: list[Person]) -> None:
        self.port, self.people = port, people
        self.times: dict[str, list[float]] = defaultdict(list)
        self.errors: dict[str, int] = defaultdict(int)
        self.dice = random.Random(1)

    async def go_on(self, rate: float, seconds: float) -> None:
        began = time.monotonic()
        kinds, weights = list(SHARES), list(SHARES.values())
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self.ask(self.dice.choices(kinds, weights)[0], due))

    async def ask(self, kind: str, due: float) -> None:
        try:
            async with connected(self.port, self.request(kind)) as (status, answer):
                await answer.read()
        except (OSError, IndexError) as error:
            self.errors[f"{kind}: {type(error).__name__}"] += 1
            return
        self.times[kind].append(1000 * (time.monotonic() - due))
        if status >= 300:
            self.errors[f"{kind}: {status}"] += 1

    def request(self, kind: str) -> bytes:
        person = self.dice.choice(self.people)
        mission = self.dice.choice(person.missions)
        if kind == "create":
            return head("POST", "/api/v1/missions/submit", person, json.dumps(mission_of(3)).encode())
        paths = {
            "items": f"/api/v1/missions/{mission}/items?limit=50",
            "mission": f"/api/v1/missions/{mission}",
            "missions": "/api/v1/missions?page_size=20",
            "mission page": f"/missions/{mission}",
            "missions page": "/missions",
        }
        return head("GET", paths[kind], person)


# --- Figures ---


class Meter:
    """Memory and CPU of the web process, and the CPU of those that make it work."""

    def __init__(self, web: psutil.Process, mover: psutil.Process) -> None:
        self.processes = {"web": web, "mover": mover, "load_generator": psutil.Process()}
        self.web = web
        self.pss = {"before": self.now()}
        self.threads = 0
        self._began, self._cpu = time.monotonic(), self._seconds()

    def now(self) -> float:
        return round(self.web.memory_full_info().pss / 1e6, 1)

    async def watch(self) -> None:
        while True:
            self.pss["at_most"] = max(self.pss.get("at_most", 0.0), self.now())
            self.threads = max(self.threads, self.web.num_threads())
            await asyncio.sleep(2)

    def _seconds(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self.processes.items()}

    def cpu_percent(self) -> dict[str, float]:
        elapsed = time.monotonic() - self._began
        return {name: round(100 * (spent - self._cpu[name]) / elapsed, 1) for name, spent in self._seconds().items()}


def quantiles(times: list[float]) -> dict[str, float]:
    if len(times) < 2:
        return {"count": len(times)}
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "count": len(times),
        **{f"p{n}": round(cuts[n - 1], 1) for n in (50, 95, 99)},
        "worst": round(max(times), 1),
    }


def missed(heard: list[Heard]) -> int:
    """Events that a stream should have brought and did not, or brought twice."""
    from missions.models import ItemEvent

    count = 0
    for one in heard:
        due = ItemEvent.objects.filter(mission=one.mission_id, pk__gt=one.start, pk__lte=max(one.ids, default=0))
        count += len(set(due.values_list("pk", flat=True)) ^ set(one.ids)) + len(one.ids) - len(set(one.ids))
    return count


async def load(arguments: argparse.Namespace, port: int, people: list[Person], meter: Meter) -> dict[str, Any]:
    from missions.models import ItemEvent

    latest = await ItemEvent.objects.order_by("-pk").values_list("pk", flat=True).afirst() or 0
    chosen = [(person, mission) for person in people for mission in person.missions]
    streams = [(*chosen[number % len(chosen)],) for number in range(arguments.streams)]
    heard = [Heard(mission, latest) for _, mission in streams]
    listening = []
    for (person, _), one in zip(streams, heard, strict=True):
        listening.append(asyncio.create_task(listen(port, person, one)))
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    asker, watching = Asker(port, people), asyncio.create_task(meter.watch())
    for one in heard:
        one.lags.clear()  # of what had happened before it listened
    await asker.go_on(arguments.rate, arguments.seconds)
    figures = {"cpu_percent": meter.cpu_percent(), "threads_at_most": meter.threads}
    broken = sum(task.done() for task in listening)
    for task in [*listening, watching]:
        task.cancel()
    await asyncio.gather(*listening, watching, return_exceptions=True)
    await asyncio.sleep(SETTLE_SECONDS)
    meter.pss["after"] = meter.now()
    return figures | {
        "requests_ms": {kind: quantiles(asker.times[kind]) for kind in SHARES}
        | {"all": quantiles([taken for times in asker.times.values() for taken in times])},
        "errors": dict(asker.errors),
        "pss_mb": meter.pss,
        "streams_broken": broken,
        "events": {
            "delivered": sum(len(one.ids) for one in heard),
            "missed": await asyncio.to_thread(missed, heard),
            "lag_ms": quantiles([1000 * lag for one in heard for lag in one.lags]),
        },
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    items = int(arguments.moves * (arguments.seconds + 0.02 * arguments.streams + 20) / arguments.missions) + 1
    people = prepare(arguments.missions, items)
    port = free_port()
    with web_process({}, port):
        asyncio.run(warm_up(port, people))
        missions = [str(mission) for person in people for mission in person.missions]
        command = [sys.executable, "-m", "benchmarks.bench_web", f"--moves={arguments.moves}", "--mover", *missions]
        mover = subprocess.Popen(command)
        try:
            meter = Meter(server_on(port), psutil.Process(mover.pid))
            return asyncio.run(load(arguments, port, people, meter))
        finally:
            mover.terminate()
            mover.wait()


async def warm_up(port: int, people: list[Person]) -> None:
    """The first request of a process also loads code."""
    asker = Asker(port, people)
    for kind in 3 * [*SHARES]:
        await asker.ask(kind, time.monotonic())


def main() -> int:
    arguments = parse_arguments()
    if arguments.mover is not None:
        import django

        django.setup()
        move(arguments.mover, arguments.moves)
    with scratch_site(arguments.database, API_REQUESTS_PER_MINUTE="0", READ_DOT_ENV="0", PUBLIC_BASE_URL=""):
        figures = run(arguments)
    chosen = {name: getattr(arguments, name) for name in ("streams", "missions", "moves", "rate", "seconds")}
    figures = {"database": "PostgreSQL" if arguments.database else "SQLite", **chosen, **figures}
    print(json.dumps(figures, indent=2))
    save(figures, arguments.json)
    is_good = not figures["errors"] and not figures["events"]["missed"] and not figures["streams_broken"]
    return 0 if is_good and figures["requests_ms"]["all"]["p95"] <= TARGET_P95_MS else 1


if __name__ == "__main__":
    sys.exit(main())
