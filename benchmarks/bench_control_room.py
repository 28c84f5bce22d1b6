"""``make bench-control``: how fast the control room and /metrics answer with a long past, on a real server.

    python -m benchmarks.bench_control_room --items 1000000
    python -m benchmarks.bench_control_room --database postgres://root@127.0.0.1/postgres

Times are those of a client on this machine over one kept-alive connection, in milliseconds; the target is a median below 200.
Making the past takes some minutes.  No worker runs, so spend is counted once, at the end of that.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks.bench import STATE, free_port, scratch_database, web_process
from benchmarks.bench_api import timed

PLACES = {"page": "/admin/control-room/", "pulse": "/admin/control-room/pulse", "metrics": "/metrics"}
TARGET_MS = 200.0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    parser.add_argument("--json", type=Path, default=STATE.parent / "bench_control_room.json", help="for the figures")
    return parser.parse_args()


def prepare(items: int) -> str:
    """A database with a past, of which one mission has work left.  Returns the session of somebody who may see it."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from missions import services
    from missions.models import Mission

    call_command("migrate", verbosity=0)
    call_command("make_history", items=items)
    for mission in Mission.objects.filter(pending_count__gt=0)[:1]:
        services.resume_mission(mission_id=mission.pk, actor="bench")
    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    return str(client.cookies["sessionid"].value)


def measure(session_key: str, rounds: int) -> list[dict[str, Any]]:
    """A row of figures for each place."""
    port = free_port()
    with web_process({}, port), requests.Session() as session:
        session.cookies.set("sessionid", session_key)

        def get(path: str) -> None:
            answer = session.get(f"http://127.0.0.1:{port}{path}", timeout=60, allow_redirects=False)
            assert answer.status_code == 200, (path, answer.status_code)

        figures = []
        for name, path in PLACES.items():
            get(path)  # the first request of a process also loads code
            figures.append(_figures(name, [timed(partial(get, path)) for _ in range(rounds)]))
        return figures


def _figures(name: str, times: list[float]) -> dict[str, Any]:
    median = statistics.median(times)
    worst = round(max(times), 1)
    return {"place": name, "median_ms": round(median, 1), "worst_ms": worst, "is_met": median <= TARGET_MS}


def show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{figures['items']:,} items, {figures['database']}, ms; made in {figures['made_in_seconds']} s"
    table = Table("place", "median", "worst", f"median below {TARGET_MS:g}", title=title)
    for row in figures["places"]:
        table.add_row(row["place"], str(row["median_ms"]), str(row["worst_ms"]), "met" if row["is_met"] else "MISSED")
    Console(width=100).print(table)


def main() -> int:
    arguments = parse_arguments()
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    with scratch_database(arguments.database) as url:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "runninghub_batch.settings",
            "READ_DOT_ENV": "0",
            "SECRET_KEY": "only-for-this-benchmark",
            "DATA_DIR": str(STATE),
            "DATABASE_URL": url,
            "RUNNINGHUB_API_KEY": "",
            "METRICS_TOKEN": "",
            "PUBLIC_BASE_URL": "",
            "LOG_LEVEL": "WARNING",
        }
        import django
        from django.db import connections

        django.setup()
        try:
            began = time.perf_counter()
            session_key = prepare(arguments.items)
            seconds = round(time.perf_counter() - began)
            places = measure(session_key, arguments.rounds)
        finally:
            connections.close_all()
    figures = {
        "items": arguments.items,
        "database": "PostgreSQL" if arguments.database else "SQLite",
        "made_in_seconds": seconds,
        "places": places,
    }
    show(figures)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(row["is_met"] for row in places) else 1


if __name__ == "__main__":
    sys.exit(main())
