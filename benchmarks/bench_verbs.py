"""``make bench-verbs``: the cost of actions on a large mission, and how long other writers wait.

    python -m benchmarks.bench_verbs --rows 1000,10000,50000
    python -m benchmarks.bench_verbs --database postgres://root@127.0.0.1/postgres

Each action runs in a process of its own.  ``longest wait`` is that of small writes by another
process: on SQLite for the one write lock, on PostgreSQL only for the processor.  ``memory`` is the
peak beyond the program itself and the rows of its input.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import separate_process
from benchmarks.figures import numbers, save, show_table
from benchmarks.site import STATE, scratch_site

VERBS = ("create", "pause", "cancel", "retry", "delete")
COLUMNS = ("verb", "rows", "seconds", "ms_per_row", "longest_wait_seconds", "memory_mb")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=numbers, default=[1000, 10_000, 50_000])
    parser.add_argument("--verbs", type=lambda text: text.split(","), default=VERBS, help=",".join(VERBS))
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    parser.add_argument("--json", type=Path, default=STATE.parent / "bench_verbs.json", help="where the figures go")
    return parser.parse_args()


def main() -> int:
    if case := separate_process.case():
        return separate_process.answer(measure(**case))
    arguments = parse_arguments()
    environment = {"MISSION_MAX_ITEMS": "1000000"}
    figures = []
    with scratch_site(arguments.database, **environment):
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        for rows in arguments.rows:
            for verb in arguments.verbs:
                with small_writes() as waits:
                    figure = separate_process.run("benchmarks.bench_verbs", {"verb": verb, "rows": rows})
                began, ended = figure.pop("between")
                longest = max(wait for at, wait in waits if at + wait > began and at < ended)
                figures.append({"verb": verb, "rows": rows, **figure, "longest_wait_seconds": round(longest, 2)})
    show_table(figures, COLUMNS, title="PostgreSQL" if arguments.database else "SQLite")
    save(figures, arguments.json)
    return 0


@contextmanager
def small_writes() -> Iterator[list[tuple[float, float]]]:
    """Write a row every 10 ms; yield each write's begin (epoch seconds) and duration in seconds."""
    from django.db import connections

    from workers import queue

    waits: list[tuple[float, float]] = []
    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(0.01):
            began = time.time()
            queue.send_canary()
            waits.append((began, time.time() - began))
        queue.drop_own_messages()
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield waits
    finally:
        is_over.set()
        thread.join()


def measure(*, verb: str, rows: int) -> dict[str, Any]:
    act = prepared(verb, rows)
    separate_process.forget_peak_memory()
    memory_before, began = separate_process.peak_memory_mb(), time.time()
    act()
    ended = time.time()
    return {
        "seconds": round(ended - began, 2),
        "ms_per_row": round(1000 * (ended - began) / rows, 4),
        "memory_mb": round(separate_process.peak_memory_mb() - memory_before),
        "between": [began, ended],
    }


def prepared(verb: str, rows: int) -> Callable[[], object]:
    """Return the action with its arguments bound."""
    from functools import partial

    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.utils import timezone

    from missions import execution, services
    from missions.models import Mission
    from providers import provider_accounts

    if verb == "delete":  # with the attempts, outputs and events of a mission that has ended
        call_command("make_history", items=rows, mission_size=rows, force=True, verbosity=0, stdout=sys.stderr)
        return partial(services.delete_mission, mission_id=Mission.objects.latest("pk").pk, actor="bench")
    owner = get_user_model().objects.get_or_create(username="bench")[0]
    prompts = [f"a lighthouse at dusk, oil on canvas, number {number}" for number in range(rows)]
    create = partial(services.submit_mission, owner=owner, name="bench", task_type="text_to_image", rows=prompts)
    if verb == "create":
        return create
    mission = create()
    if verb == "retry":
        mission.items.update(status="failed", ended_at=timezone.now())
        Mission.objects.filter(pk=mission.pk).update(status="failed", pending_count=0, failed_count=rows)
        return partial(services.retry_failed, mission_id=mission.pk, actor="bench")
    execution.dispatch(provider_accounts.environment_account().pk)
    stop = services.pause_mission if verb == "pause" else services.cancel_mission
    return partial(stop, mission_id=mission.pk, actor="bench")


if __name__ == "__main__":
    sys.exit(main())
