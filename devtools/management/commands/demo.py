"""``manage.py demo``: run the example files and check the results, in a minute and for free.

24 items of the files in examples/ go through real workers and the simulator, in a sandbox under
var/demo/.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max, Min, QuerySet, Sum
from rich.console import Console

from batch_input.local_files import read_rows, upload_local_files
from batch_input.rows import RowValue
from devtools import local_stack, progress, report, sandbox, verification
from devtools.management.commands.run_mission import INTERRUPTED, obey_stop_signals
from missions import services
from missions.models import Attempt, Mission, Output
from providers import catalog
from providers.catalog.task_types import TaskType

FOLDER = settings.BASE_DIR / "var" / "demo"
EXAMPLES = settings.BASE_DIR / "examples"
FILES = {
    TaskType.TEXT_TO_IMAGE: "text_to_image.txt",
    TaskType.IMAGE_TO_IMAGE: "image_to_image.csv",
    TaskType.TEXT_TO_VIDEO: "text_to_video.jsonl",
    TaskType.IMAGE_TO_VIDEO: "image_to_video.jsonl",
}
# Few slots, so that they are refilled often; short tasks, so that they are polled often.
SLOTS = 8
ENVIRONMENT = {"RUNNINGHUB_CONCURRENCY": str(SLOTS), "POLL_FLOOR_SECONDS": "0.2"}
VIDEO_SECONDS = (4, 6)
SIMULATOR = {"task_seconds": 3, "task_jitter": 0.33, "submit_latency": 0.2, "cap": SLOTS}
FAIL_ONCE = "[[sim:fail-once:1015]]"


class Command(BaseCommand):
    help = "Run 24 items through real workers and the simulator, check every file, and leave nothing running."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        if not sandbox.is_inside():
            sandbox.enter(FOLDER, **ENVIRONMENT)
        obey_stop_signals()
        try:
            problems = Demo().run()
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            raise SystemExit(INTERRUPTED) from None
        except (RuntimeError, progress.Halted) as error:
            raise CommandError(f"{error} See {local_stack.log_file()}.") from error
        if problems:
            raise SystemExit(1)


class Demo:
    """One run of the demo. ``run`` returns the problems; none are expected."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.started = time.monotonic()

    def print(self, text: str = "") -> None:
        self.console.print(text)

    def run(self) -> list[str]:
        self.print("24 items of four types, real workers, a simulated RunningHub. Nothing can be spent.")
        with ExitStack() as stack:
            simulator = stack.enter_context(sandbox.opened(is_fresh=True, **SIMULATOR))
            with local_stack.own_workers() as workers:
                self.print(f"{settings.Q_WORKERS} workers, {SLOTS} slots.")
                owner = User.objects.create(username="demo", password="!")  # noqa: S106  matches no password
                for task_type in FILES:
                    rows, name = list(example_rows(task_type, owner)), str(task_type.label)
                    services.submit_mission(owner=owner, name=name, task_type=task_type, rows=rows)
                missions = Mission.objects.filter(owner=owner).order_by("pk")
                progress.follow([mission.pk for mission in missions], self.console)
                processes = [*workers.members(), psutil.Process(simulator.pid)]
            stats, paid = simulator.stats(), simulator.paid()["requests"]
        missions = missions.all()  # read again
        problems = [
            *verification.counts(missions),
            *verification.files(missions),
            *verification.payments(missions, paid, stats),
            *verification.processes(processes),
        ]
        if stats["max_in_flight"] > SLOTS:
            problems.append(f"{stats['max_in_flight']} tasks were in flight at the same time; the limit was {SLOTS}.")
        self.report(missions, stats)
        for problem in problems:
            self.print(f"WRONG: {problem}")
        if not problems:
            self.print("Checked: all counts, files (type, size, SHA-256) and payments; no process left. All well.")
        return problems

    def report(self, missions: QuerySet[Mission], stats: dict[str, Any]) -> None:
        """Print the missions, then the totals. ``stats`` are those of the simulator."""
        for mission in missions:
            self.print(f"\n{mission.name} ({mission.model})")
            for line in report.lines(mission):
                self.print(f"  {line}")
        total = missions.aggregate(items=Sum("total_count"), done=Sum("completed_count"), first=Min("created_at"))
        last = Attempt.objects.filter(item__mission__in=missions).aggregate(last=Max("ended_at"))["last"]
        files = Output.objects.filter(item__mission__in=missions).exclude(file="")
        size = files.aggregate(sum=Sum("size_bytes"))["sum"] or 0
        ideal, real = stats["slot_seconds"] / SLOTS, (last - total["first"]).total_seconds()
        self.print()
        self.print(f"items     {total['done']} of {total['items']} completed")
        amounts = [report.money(cost, currency) for currency, cost in verification.costs(missions).items()]
        self.print(f"cost      {' and '.join(amounts) or 'nothing'}, simulated")
        self.print(
            f"time      {report.duration(real)} of work, {report.duration(time.monotonic() - self.started)} in total"
        )
        self.print(
            f"slots     {ideal / real:.0%} used: ideal {ideal:.1f} s / real {real:.1f} s "
            f"(ideal: the tasks' {stats['slot_seconds']:.0f} seconds at the provider, spread over {SLOTS} slots)"
        )
        self.print(f"files     {files.count()}, {size / 1024**2:.1f} MB, in {settings.RESULTS_ROOT}")
        self.print()


def example_rows(task_type: TaskType, owner: User) -> Iterator[RowValue]:
    """Yield the rows of an example file, with marks for the simulator behind their prompts.

    Videos take longer than images, and the first image fails at its first attempt.
    """
    path = EXAMPLES / FILES[task_type]
    model = catalog.default_model(task_type)
    rows = upload_local_files(read_rows(path, model=model), model=model, folder=path.parent, owner=owner)
    for number, row in enumerate(rows):
        marks = ""
        if model.result_kind == "video":
            shortest, longest = VIDEO_SECONDS
            marks = f" [[sim:slow:{shortest + number % (longest - shortest + 1)}]]"
        elif task_type is TaskType.TEXT_TO_IMAGE and number == 0:
            marks = f" {FAIL_ONCE}"
        value = row.value
        yield f"{value}{marks}" if isinstance(value, str) else {**value, "prompt": f"{value['prompt']}{marks}"}
