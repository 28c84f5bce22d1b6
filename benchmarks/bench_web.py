"""``make bench-web``: open event streams and steady requests at once, on the default web server.

    python -m benchmarks.bench_web --streams 200 --rate 50 --seconds 60
    python -m benchmarks.bench_web --missions 200 --database postgres://root@127.0.0.1/postgres

The server is started by the line of the ``Procfile``, with its default number of processes. Every
stream follows one of ``--missions`` that move, ``--moves`` items per second altogether; a separate
process moves them as workers would. Requests start when they are due, even if earlier ones have no
answer yet, and their times count from then. Memory is the PSS of all web processes. CPU is in
percent of one core, for the web server, the mover and this load generator.
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

from benchmarks.bench_api import mission as mission_of
from benchmarks.figures import save
from benchmarks.site import STATE, free_port, scratch_site, web_process

USERS = 5
SHARES = {"items": 30, "mission": 20, "missions": 20, "mission page": 15, "missions page": 5, "create": 10}
TARGET_P95_MS = 250.0
TARGET_LAG_P95_MS = 1000.0
SETTLE_SECONDS = 5.0  # before memory is measured after the load


@dataclass
class Person:
    token: str
    session: str
    missions: list[int] = field(default_factory=list)


@dataclass
class StreamLog:
    """The events that one stream has received."""

    mission_id: int
    start: int  # the stream follows events after this one
    ids: list[int] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)  # seconds from an event to its arrival


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--missions", type=int, default=20, help="missions that the streams follow (20)")
    parser.add_argument("--moves", type=float, default=20.0, help="items completed per second (20)")
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second (50)")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    parser.add_argument("--json", type=Path, default=STATE.parent / "bench_web.json", help="output file")
    parser.add_argument("--mover", nargs="*", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- Missions that move ---


def prepare(missions: int, items: int) -> list[Person]:
    """Create people with missions that have work for the whole time."""
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
    """Complete items one after another, mission by mission, until this process is ended."""
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


# --- Load ---


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
    """Send a request; yield the status of the answer and a reader of the lines that follow."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        yield int((await reader.readline()).split()[1]), reader
    finally:
        writer.close()


async def listen(port: int, person: Person, log: StreamLog) -> None:
    """Follow a mission's events until this task is cancelled."""
    path = f"/api/v1/missions/{log.mission_id}/events?after={log.start}"
    async with connected(port, head("GET", path, person, version="1.0")) as (status, lines):
        if status != 200:
            raise RuntimeError(f"A stream was refused: {status}")
        async for line in lines:
            if line.startswith(b"id: "):
                log.ids.append(int(line[4:]))
            elif line.startswith(b"data: ") and (place := line.find(b'"at": "')) > 0:
                at = datetime.fromisoformat(line[place + 7 : line.index(b'"', place + 7)].decode())
                log.lags.append(time.time() - at.timestamp())


class LoadGenerator:
    """Sends requests of all kinds, and records their times and failures."""

    def __init__(self, port: int, people: list[Person]) -> None:
        self.port, self.people = port, people
        self.times: dict[str, list[float]] = defaultdict(list)
        self.errors: dict[str, int] = defaultdict(int)
        self.dice = random.Random(1)

    async def run(self, rate: float, seconds: float) -> None:
        began = time.monotonic()
        kinds, weights = list(SHARES), list(SHARES.values())
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(self.send(self.dice.choices(kinds, weights)[0], due))

    async def send(self, kind: str, due: float) -> None:
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
    """Memory and CPU of the web processes, and the CPU of the mover and of this load generator."""

    def __init__(self, web: psutil.Process, mover: psutil.Process) -> None:
        self.processes = {
            "web": [web, *web.children()],
            "mover": [mover],
            "load_generator": [psutil.Process()],
        }
        self.pss = {"before": self.memory()}
        self.threads = 0
        self._began, self._cpu = time.monotonic(), self.cpu_seconds()

    def memory(self) -> float:
        """Return the PSS of all web processes in MB."""
        return round(sum(process.memory_full_info().pss for process in self.processes["web"]) / 1e6, 1)

    async def watch(self) -> None:
        """Record the highest memory and number of threads until cancelled."""
        while True:
            self.pss["at_most"] = max(self.pss.get("at_most", 0.0), self.memory())
            self.threads = max(self.threads, sum(process.num_threads() for process in self.processes["web"]))
            await asyncio.sleep(2)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each side has used so far."""
        return {
            name: sum(sum(process.cpu_times()[:2]) for process in processes)
            for name, processes in self.processes.items()
        }

    def cpu_percent(self) -> dict[str, float]:
        """Return the CPU use of each side since the start, in percent of one core."""
        elapsed = time.monotonic() - self._began
        return {name: round(100 * (spent - self._cpu[name]) / elapsed, 1) for name, spent in self.cpu_seconds().items()}


def quantiles(times: list[float]) -> dict[str, float]:
    if len(times) < 2:
        return {"count": len(times)}
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "count": len(times),
        **{f"p{n}": round(cuts[n - 1], 1) for n in (50, 95, 99)},
        "worst": round(max(times), 1),
    }


def missed(logs: list[StreamLog]) -> int:
    """Return the number of events that streams lost or received twice."""
    from missions.models import ItemEvent

    count = 0
    for log in logs:
        due = ItemEvent.objects.filter(mission=log.mission_id, pk__gt=log.start, pk__lte=max(log.ids, default=0))
        count += len(set(due.values_list("pk", flat=True)) ^ set(log.ids)) + len(log.ids) - len(set(log.ids))
    return count


async def load(arguments: argparse.Namespace, port: int, people: list[Person], meter: Meter) -> dict[str, Any]:
    """Open the streams, send the requests, and return the figures."""
    from missions.models import ItemEvent

    latest = await ItemEvent.objects.order_by("-pk").values_list("pk", flat=True).afirst() or 0
    choices = [(person, mission) for person in people for mission in person.missions]
    logs, streams = [], []
    for number in range(arguments.streams):
        person, mission = choices[number % len(choices)]
        logs.append(StreamLog(mission, latest))
        streams.append(asyncio.create_task(listen(port, person, logs[-1])))
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    generator, watch = LoadGenerator(port, people), asyncio.create_task(meter.watch())
    for log in logs:
        log.lags.clear()  # of events from before the stream was open
    await generator.run(arguments.rate, arguments.seconds)
    figures = {"cpu_percent": meter.cpu_percent(), "threads_at_most": meter.threads}
    broken = sum(task.done() for task in streams)
    for task in [*streams, watch]:
        task.cancel()
    await asyncio.gather(*streams, watch, return_exceptions=True)
    await asyncio.sleep(SETTLE_SECONDS)
    meter.pss["after"] = meter.memory()
    return figures | {
        "requests_ms": {kind: quantiles(generator.times[kind]) for kind in SHARES}
        | {"all": quantiles([value for times in generator.times.values() for value in times])},
        "errors": dict(generator.errors),
        "pss_mb": meter.pss,
        "web_processes": len(meter.processes["web"]),
        "streams_broken": broken,
        "events": {
            "delivered": sum(len(log.ids) for log in logs),
            "missed": await asyncio.to_thread(missed, logs),
            "lag_ms": quantiles([1000 * lag for log in logs for lag in log.lags]),
        },
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    items = int(arguments.moves * (arguments.seconds + 0.02 * arguments.streams + 20) / arguments.missions) + 1
    people = prepare(arguments.missions, items)
    port = free_port()
    with web_process({}, port) as web:
        generator = LoadGenerator(port, people)
        for kind in 3 * 4 * [*SHARES]:  # the first requests of each process also load code
            asyncio.run(generator.send(kind, time.monotonic()))
        missions = [str(mission) for person in people for mission in person.missions]
        command = [sys.executable, "-m", "benchmarks.bench_web", f"--moves={arguments.moves}", "--mover", *missions]
        mover = subprocess.Popen(command)
        try:
            return asyncio.run(load(arguments, port, people, Meter(web, psutil.Process(mover.pid))))
        finally:
            mover.terminate()
            mover.wait()


def main() -> int:
    arguments = parse_arguments()
    if arguments.mover is not None:
        import django

        django.setup()
        move(arguments.mover, arguments.moves)
    with scratch_site(arguments.database, API_REQUESTS_PER_MINUTE="0"):
        figures = run(arguments)
    options = {name: getattr(arguments, name) for name in ("streams", "missions", "moves", "rate", "seconds")}
    figures = {"database": "PostgreSQL" if arguments.database else "SQLite", **options, **figures}
    print(json.dumps(figures, indent=2))
    save(figures, arguments.json)
    events = figures["events"]
    is_complete = not figures["errors"] and not events["missed"] and not figures["streams_broken"]
    is_fast = figures["requests_ms"]["all"]["p95"] <= TARGET_P95_MS and events["lag_ms"]["p95"] <= TARGET_LAG_P95_MS
    return 0 if is_complete and is_fast else 1


if __name__ == "__main__":
    sys.exit(main())
