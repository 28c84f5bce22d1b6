"""``make bench-control``: response times of control room and /metrics with a long history.

    python -m benchmarks.bench_control_room --items 1000000
    python -m benchmarks.bench_control_room --database postgres://root@127.0.0.1/postgres

Times are in milliseconds, for a client on this machine with one kept-alive connection; the target
is a median below 200.  Creating the history takes some minutes.  No worker runs, so spend is added
up once, at the end of that.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.bench_pages import measure
from benchmarks.figures import save, show_times
from benchmarks.site import STATE, scratch_site

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
    """Create a history with one unfinished mission and return an operator's session."""
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


def main() -> int:
    arguments = parse_arguments()
    with scratch_site(arguments.database):
        began = time.perf_counter()
        session_key = prepare(arguments.items)
        seconds = round(time.perf_counter() - began)
        rows = measure(session_key, PLACES, arguments.rounds, TARGET_MS)
    figures = {
        "items": arguments.items,
        "database": "PostgreSQL" if arguments.database else "SQLite",
        "made_in_seconds": seconds,
        "requests": rows,
    }
    print(f"made in {seconds} s")
    show_times(figures)
    save(figures, arguments.json)
    return 0 if all(row["is_met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
