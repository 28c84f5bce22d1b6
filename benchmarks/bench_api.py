"""``make bench-api``: response times of the JSON API on a real server with a real token.

    python -m benchmarks.bench_api --items 10000 --rounds 15
    python -m benchmarks.bench_api --database postgres://root@127.0.0.1/postgres

Times are in milliseconds, for a client on this machine with one kept-alive connection.  No worker
runs: the mission keeps its first state.  The second part submits a body of ``--big`` rows while
other requests are made one after another, and compares them with those of an idle server.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks.figures import save, show_times, summary, timed
from benchmarks.site import STATE, free_port, scratch_site, web_process

TARGETS = {"create": 2000.0, "list": 50.0, "detail": 100.0, "page of 100 items": 60.0}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--missions", type=int, default=200, help="other missions in the list (200)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--creations", type=int, default=5)
    parser.add_argument("--big", type=int, default=50_000, help="rows of the body that is sent beside other requests")
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    parser.add_argument("--json", type=Path, default=STATE.parent / "bench_api.json", help="where the figures go")
    return parser.parse_args()


class Caller:
    """A program that calls the API with a token over one connection."""

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        answer = self.session.get(self.base + path, timeout=60)
        answer.raise_for_status()
        return answer.json()["data"]

    def submit(self, rows: int) -> Any:
        answer = self.session.post(f"{self.base}/submit", json=mission(rows), timeout=300)
        answer.raise_for_status()
        return answer.json()["data"]


def mission(rows: int) -> dict[str, Any]:
    prompts = [f"a lighthouse on a cliff above a stormy sea, oil on canvas, number {number}" for number in range(rows)]
    config = {"aspectRatio": "16:9", "batch_input": prompts}
    return {"name": f"{rows} lighthouses", "task_type": "text_to_image", "config": config}


def repeated(caller: Caller, path: str, rounds: int) -> list[float]:
    return [timed(lambda: caller.get(path)) for _ in range(rounds)]


def prepare(missions: int) -> str:
    """Create a person with some missions and return their token."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from accounts.services import create_token
    from missions import services

    call_command("migrate", verbosity=0)
    owner = User.objects.create_user("bench")
    for number in range(missions):
        services.submit_mission(owner=owner, name=f"Mission {number}", task_type="text_to_image", rows=["a", "b", "c"])
    return create_token(user=owner, name="bench")[1]


def finish_items(mission_id: int, count: int) -> None:
    """Let the first items succeed with a result each, so that pages show what they show in life."""
    from datetime import timedelta
    from decimal import Decimal

    from django.db import transaction
    from django.utils import timezone

    from missions import lifecycle
    from providers import provider_accounts
    from providers.models import ProviderAccount

    account = provider_accounts.environment_account()
    now = timezone.now()
    with transaction.atomic():
        locked = ProviderAccount.objects.select_for_update().get(pk=account.pk)
        attempts = lifecycle.claim(mission_id, locked, limit=count, now=now)
        lifecycle.mark_sending({attempt: {"prompt": "x"} for attempt in attempts}, worker="bench")
        lifecycle.accept({attempt: lifecycle.Acceptance(f"task-{attempt}", {}, now, now) for attempt in attempts})
        outputs = [lifecycle.NewOutput(url="https://results.example/1.png", extension="png")]
        success = lifecycle.Success(outputs=outputs, cost=Decimal("0.05"), raw={})
        times = {"expires_at": now + timedelta(days=1), "first_try_at": now}
        lifecycle.succeed(dict.fromkeys(attempts, success), **times)


def measure_single(caller: Caller, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Return the times of each kind of request on an idle server."""
    caller.submit(10)  # the first request of a process also loads code
    creations = [timed(lambda: caller.submit(arguments.items)) for _ in range(arguments.creations)]
    mission_id = caller.get("?page_size=1")["items"][0]["api_mission_id"]
    finish_items(mission_id, min(arguments.items, 300))
    middle = arguments.items // 2
    paths = {
        "list": "",
        "detail": f"/{mission_id}",
        "page of 100 items": f"/{mission_id}/items?limit=100",
        "page of 100 items, in the middle": f"/{mission_id}/items?limit=100&cursor={middle}",
        "page of 100 pending items": f"/{mission_id}/items?limit=100&status=pending",
        "page of 1000 items": f"/{mission_id}/items?limit=1000",
        "search": "?search=lighthouse",
        "item": f"/{mission_id}/items/{middle}",
    }
    times = {name: repeated(caller, path, arguments.rounds) for name, path in paths.items()}
    return {"create": creations, **times}


def measure_beside(caller: Caller, other: Caller, rows: int) -> dict[str, Any]:
    """Return the times of list requests while a big body is submitted."""
    beside: list[float] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        submitting = pool.submit(timed, lambda: other.submit(rows))
        while not submitting.done():
            beside.append(timed(lambda: caller.get("")))
            time.sleep(0.02)
    return {"submit": submitting.result(), "beside": beside}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    token = prepare(arguments.missions)
    with server() as base:
        rows = [
            summary(name, times, TARGETS.get(name))
            for name, times in measure_single(Caller(base, token), arguments).items()
        ]
        beside = measure_beside(Caller(base, token), Caller(base, token), arguments.big)
    rows.append(summary(f"create with {arguments.big} rows", [beside["submit"]], None))
    rows.append(summary("list meanwhile", beside["beside"], None))
    return {"items": arguments.items, "database": "PostgreSQL" if arguments.database else "SQLite", "requests": rows}


@contextmanager
def server() -> Iterator[str]:
    port = free_port()
    with web_process({}, port):
        yield f"http://127.0.0.1:{port}/api/v1/missions"


def main() -> int:
    arguments = parse_arguments()
    with scratch_site(arguments.database, API_REQUESTS_PER_MINUTE="0"):
        figures = run(arguments)
    show_times(figures)
    save(figures, arguments.json)
    return 0 if all(row["is_met"] is not False for row in figures["requests"]) else 1


if __name__ == "__main__":
    sys.exit(main())
