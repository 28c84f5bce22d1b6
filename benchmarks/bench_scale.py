"""``make bench-scale``: the cost of an item in missions of any size, in simulated time.

    python -m benchmarks.bench_scale --items 1000,10000,100000 --slots 50,500,2000
    python -m benchmarks.bench_scale --history 1000000 --database postgres://root@127.0.0.1/postgres
    python -m benchmarks.bench_scale --items 10000 --slots 500 --missions 500

Each row is a process of its own that runs the engine by its messages (``benchmarks.simulated``).
Of a larger mission the first and the last --sample / 2 items are measured; those between are marked
as completed.  One process has no lock to wait for: work is measured, not waiting (``make bench``
measures that).

Per item: milliseconds of this process's CPU, and of the database's if it is another process
(PostgreSQL on this machine); statements; polls; messages.  ``peak MB`` is the largest memory of the
process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import separate_process
from benchmarks.figures import numbers, save, show_table
from benchmarks.site import STATE, free_port, scratch_site

COLUMNS = (
    "items",
    "slots",
    "missions",
    "cpu_ms",
    "database_cpu_ms",
    "statements",
    "broker_statements",
    "queries",
    "messages",
    "peak_mb",
    "simulated_hours",
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=numbers, default=[1000, 10_000, 100_000])
    parser.add_argument("--slots", type=numbers, default=[50, 500, 2000])
    parser.add_argument("--missions", type=numbers, default=[1], help="over how many missions the items are spread (1)")
    parser.add_argument("--sample", type=int, default=4000, help="items that are measured; 0: all of them")
    parser.add_argument("--task-seconds", type=float, default=60.0)
    parser.add_argument("--texts", action="store_true", help="results are texts, so that nothing is downloaded")
    parser.add_argument("--spending-limit", action="store_true", help="the items' owner has one")
    parser.add_argument("--history", type=int, default=0, help="items that ended before (manage.py make_history)")
    parser.add_argument("--history-mission-size", type=int, default=20)
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    parser.add_argument("--json", type=Path, default=STATE.parent / "bench_scale.json", help="where the figures go")
    return parser.parse_args()


def main() -> int:
    if case := separate_process.case():
        return separate_process.answer(measure(**case))
    arguments = parse_arguments()
    port = free_port()
    environment = {
        "RUNNINGHUB_API_KEY": "simulator",
        "RESULTS_ALLOWED_HOSTS": f"127.0.0.1:{port}",
        "MISSION_MAX_ITEMS": str(max(arguments.items)),
    }
    rows: list[dict[str, Any]] = []
    begin_at = datetime.now(UTC)
    with scratch_site(arguments.database, **environment), file_server(port) as url:
        prepare(arguments)
        for missions, items, slots in itertools.product(arguments.missions, arguments.items, arguments.slots):
            case = {
                "items": items,
                "slots": slots,
                "sample": min(arguments.sample or items, items),
                "task_seconds": arguments.task_seconds,
                "result_url": "" if arguments.texts else url,
                "begin_at": begin_at.isoformat(),
            }
            open_case(case, missions, has_limit=arguments.spending_limit)
            rows.append(case | {"missions": missions} | separate_process.run("benchmarks.bench_scale", case))
            begin_at = datetime.fromisoformat(rows[-1]["end_at"])
            print(json.dumps(rows[-1]), flush=True)
    figures = {
        "database": "PostgreSQL" if arguments.database else "SQLite",
        "task_seconds": arguments.task_seconds,
        "sample": arguments.sample,
        "history_items": arguments.history,
        "cases": rows,
    }
    show_table(rows, COLUMNS, title=f"per item; {figures['database']}, {arguments.history:,} items of history")
    save(figures, arguments.json)
    return 0


def prepare(arguments: argparse.Namespace) -> None:
    """Prepare an empty database, or one with a history."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    if arguments.history:
        call_command("make_history", items=arguments.history, mission_size=arguments.history_mission_size, force=True)


@contextmanager
def file_server(port: int) -> Iterator[str]:
    """Start a process that serves one small picture and yield its address."""
    from PIL import Image

    folder = STATE / "served"
    folder.mkdir()
    Image.new("RGB", (96, 96), "teal").save(folder / "result.png")
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--protocol", "HTTP/1.1"]
    command += ["--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}/result.png"
        finally:
            process.terminate()


def open_case(case: dict[str, Any], missions: int, *, has_limit: bool) -> None:
    """Items that wait for a slot, and no message but the one that tells of them."""
    from django.contrib.auth import get_user_model
    from django_q.models import OrmQ

    from benchmarks.simulated import standing_clock
    from billing.models import SpendingLimit
    from missions import execution, services
    from providers import provider_accounts

    OrmQ.objects.all().delete()
    account = provider_accounts.environment_account()
    account.concurrency = case["slots"]
    provider_accounts.store(account, changed=["concurrency"])
    owner = get_user_model().objects.get_or_create(username="history-1")[0]  # who has a past, if there is one
    if has_limit:
        SpendingLimit.objects.get_or_create(user=owner, defaults={"amount": 10**9})
    with standing_clock(datetime.fromisoformat(case["begin_at"])):
        for _ in range(missions):
            rows = [f"a lighthouse at dusk, oil on canvas, number {n}" for n in range(case["items"] // missions)]
            services.submit_mission(owner=owner, name="scale", task_type="text_to_image", rows=rows)
        execution.arm(account.pk)


def measure(
    *, items: int, slots: int, sample: int, task_seconds: float, result_url: str, begin_at: str
) -> dict[str, Any]:
    """Run the items that wait, and return what one of those that are measured took."""
    from django.utils import timezone

    from benchmarks import simulated
    from missions.models import Mission, Output, OutputStatus

    with simulated.standing_clock(datetime.fromisoformat(begin_at)) as clock:
        remote = simulated.Remote(slots=slots, task_seconds=task_seconds, result_url=result_url)
        workers = simulated.Workers(remote, clock)
        database_began = simulated.database_cpu_seconds()
        workers.run(until=lambda: remote.done >= min(sample // 2, items))
        done = items - skip_ahead(sample - remote.done)
        workers.run(
            until=lambda: remote.done == done and not Output.objects.filter(status=OutputStatus.PENDING).exists()
        )
        database_cpu = simulated.database_cpu_seconds() - database_began
        end_at = timezone.now()
    assert not Mission.objects.filter(status__in=["queued", "running"]).exists()
    assert remote.calls["submit"] == done
    assert remote.most_at_once <= slots
    meter = workers.meter
    return {
        "cpu_ms": round(1000 * sum(meter.cpu_seconds.values()) / done, 2),
        "database_cpu_ms": round(1000 * database_cpu / done, 2),
        "statements": round(meter.statements.total() / done, 1),
        "broker_statements": round(meter.broker_statements / done, 2),
        "queries": round(remote.calls["query"] / done, 1),
        "messages": round((meter.calls.total() - meter.calls["broker"]) / done, 2),
        "peak_mb": round(separate_process.peak_memory_mb()),
        "simulated_hours": round((end_at - datetime.fromisoformat(begin_at)).total_seconds() / 3600, 2),
        "by_verb": {verb: meter.per_item(verb, done) for verb in meter.calls},
        "end_at": end_at.isoformat(),
    }


def skip_ahead(left: int) -> int:
    """Mark pending items as completed until ``left`` remain, and return their number."""
    from django.db import transaction
    from django.db.models import F
    from django.utils import timezone

    from missions.models import Mission, MissionItem

    skipped = 0
    missions = Mission.objects.filter(pending_count__gt=0, status="running")
    with transaction.atomic():
        for mission in missions.select_for_update():
            count = mission.pending_count - max(left // missions.count() - mission.in_flight_count, 0)
            if count > 0:
                last = mission.items.filter(status="pending").order_by("index")[count - 1].index
                waiting = MissionItem.objects.filter(mission=mission, status="pending", index__lte=last)
                waiting.update(status="completed", ended_at=timezone.now())
                counts = {"pending_count": F("pending_count") - count, "completed_count": F("completed_count") + count}
                Mission.objects.filter(pk=mission.pk).update(**counts)
                skipped += count
    return skipped


if __name__ == "__main__":
    sys.exit(main())
