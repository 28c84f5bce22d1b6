"""``make bench``: utilisation, statements and memory of one mission with real workers.

    python -m benchmarks.bench --items 500 --task-seconds 10 --submit-latency 0.3
    python -m benchmarks.bench --database postgres://root@127.0.0.1/postgres --webhooks
    python -m benchmarks.bench --accounts 50,20

Utilisation is ideal time / wall time.  Ideal time is items × task seconds / cap: a task in every
slot from the first moment to the last.  No client can reach it, because the simulator spends the
submit latency before a task begins; so a second figure counts a slot as busy while its submit is
under way: items × (task seconds + submit latency) / cap.  Wall time runs from the creation of the
mission to the recorded end of its last item.

With --accounts, each has a key with its own limit.  Its utilisation is that of its slots at the
simulator from the creation of the mission to the last submission, while all had work.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import save
from benchmarks.site import free_port, scratch_site, web_process


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--task-seconds", type=float, default=10.0)
    parser.add_argument("--task-jitter", type=float, default=0.0, help="± fraction of the task time (0)")
    parser.add_argument("--submit-latency", type=float, default=0.3)
    parser.add_argument("--query-latency", type=float, default=0.0)
    parser.add_argument("--cap", type=int, default=50)
    parser.add_argument(
        "--accounts", type=limits, default=[], help="limits of several accounts: 50,20; instead of --cap"
    )
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--poll-floor", type=float, default=0.3, help="POLL_FLOOR_SECONDS; the product's default is 2")
    parser.add_argument("--webhooks", action="store_true", help="run a web process and let the simulator call it")
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    arguments = parser.parse_args()
    arguments.cap = sum(arguments.accounts) or arguments.cap
    return arguments


def limits(text: str) -> list[int]:
    return [int(limit) for limit in text.split(",")]


def open_accounts(caps: list[int], url: str) -> None:
    """Create accounts whose keys have these limits at the simulator."""
    from providers import provider_accounts
    from providers.models import ProviderAccount

    environment = provider_accounts.environment_account()
    environment.is_enabled = False
    provider_accounts.store(environment, changed=["is_enabled"])
    for number, cap in enumerate(caps, start=1):
        account = ProviderAccount(name=f"account {number}", base_url=url, concurrency=cap)
        provider_accounts.store(account, api_key=f"cap{cap}-account-{number}")


def account_figures(tasks: list[dict[str, Any]], began: float, submit_latency: float) -> dict[str, Any]:
    """Return each account's use of slots from ``began`` (epoch seconds) to the last submission."""
    from missions.models import Attempt
    from providers.models import ProviderAccount

    ended = max(task["accepted_at"] for task in tasks)
    figures = {}
    for account in ProviderAccount.objects.filter(provider="runninghub", is_enabled=True).order_by("pk"):
        own = set(Attempt.objects.filter(account=account).values_list("remote_task_id", flat=True))
        spans = [(task["accepted_at"], task["ends_at"]) for task in tasks if task["id"] in own]
        busy = sum(min(end, ended) - start for start, end in spans)
        slots = (account.concurrency or 0) * (ended - began)
        most = max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
        figures[account.name] = (
            f"{len(spans)} items, limit {account.concurrency}, at most {most} in flight, utilisation {busy / slots:.4f}, "
            f"with submits {(busy + len(spans) * submit_latency) / slots:.4f}"
        )
    return figures


def cpu_seconds(processes: list[Any]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the mission and return the figures."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from devtools.local_stack import WorkerProcess, simulator_environment
    from devtools.simulators.runninghub.process import SimulatorProcess
    from missions import services
    from missions.models import Mission, Output, OutputStatus

    call_command("migrate", verbosity=0)
    owner = get_user_model().objects.create(username="bench")
    with ExitStack() as stack:
        simulator = stack.enter_context(
            SimulatorProcess(
                task_seconds=arguments.task_seconds,
                task_jitter=arguments.task_jitter,
                submit_latency=arguments.submit_latency,
                query_latency=arguments.query_latency,
                cap=arguments.cap,
            )
        )
        env = simulator_environment(simulator.url) | {
            "POLL_FLOOR_SECONDS": str(arguments.poll_floor),
            "RUNNINGHUB_CONCURRENCY": str(arguments.cap),
            "Q_WORKERS": str(arguments.workers),
        }
        if arguments.webhooks:
            port = free_port()
            env["PUBLIC_BASE_URL"] = f"http://127.0.0.1:{port}"
            stack.enter_context(web_process(env, port))
        if arguments.accounts:
            open_accounts(arguments.accounts, simulator.url)
        workers = stack.enter_context(WorkerProcess(env))
        cpu_before = cpu_seconds(workers.members())
        began = time.perf_counter()
        mission = services.submit_mission(
            owner=owner,
            name="bench",
            task_type="text_to_image",
            rows=[f"prompt {number}" for number in range(arguments.items)],
            params={"aspectRatio": "1:1"},
        )
        create_seconds = time.perf_counter() - began
        memory = 0.0
        while not mission.ended_at:
            time.sleep(1)
            mission = Mission.objects.get(pk=mission.pk)
            if mission.progress > 80 and not memory:
                memory = sum(process.memory_full_info().pss for process in workers.members())
        while Output.objects.filter(status=OutputStatus.PENDING).exists():
            time.sleep(0.1)
        members = workers.members()
        memory = max(memory, sum(process.memory_full_info().pss for process in members))
        cpu = cpu_seconds(members) - cpu_before
        simulator_cpu = cpu_seconds([psutil.Process(simulator.pid)])
        stats = simulator.stats()
        tasks = simulator.tasks(limit=arguments.items * 2) if arguments.accounts else []
    wall = (mission.ended_at - mission.created_at).total_seconds()
    ideal = arguments.items * arguments.task_seconds / arguments.cap
    ideal_with_submits = arguments.items * (arguments.task_seconds + arguments.submit_latency) / arguments.cap
    return {
        "items": arguments.items,
        "completed": mission.completed_count,
        "paid": stats["accepted"],
        "create_seconds": round(create_seconds, 3),
        "wall_seconds": round(wall, 2),
        "ideal_seconds": round(ideal, 2),
        "utilisation": round(ideal / wall, 4),
        "utilisation_with_submits": round(ideal_with_submits / wall, 4),
        "max_in_flight": stats["max_in_flight"],
        "queries_per_item": round(stats["queries"] / arguments.items, 2),
        "worker_cpu_ms_per_item": round(1000 * cpu / arguments.items, 1),
        "simulator_cpu_ms_per_item": round(1000 * simulator_cpu / arguments.items, 1),
        "worker_memory_mb": round(memory / 1e6),
        "webhooks": stats["webhooks_delivered"],
        **(account_figures(tasks, mission.created_at.timestamp(), arguments.submit_latency) if tasks else {}),
    }


def statements_per_item(items: int = 20) -> float:
    """Return the engine's statements per item, counted in this process, without the queue's."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import override_settings
    from django.utils import timezone

    from core.db import bulk
    from devtools.simulators.runninghub.process import SimulatorProcess
    from missions import execution, services
    from missions.models import Attempt, Output
    from missions.results import download
    from providers import provider_accounts

    count = 0

    def counting(execute: Any, *details: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*details)

    owner = get_user_model().objects.get(username="bench")
    with SimulatorProcess(task_seconds=0.2, task_jitter=0) as simulator:
        host = simulator.url.removeprefix("http://")
        settings = {
            "RUNNINGHUB_BASE_URL": simulator.url,
            "RUNNINGHUB_API_KEY": "simulator",
            "RESULTS_ALLOWED_HOSTS": [host],
        }
        with override_settings(**settings):
            account = provider_accounts.environment_account()
            account.is_enabled = True
            provider_accounts.store(account, changed=["is_enabled"])
            rows = [f"count {number}" for number in range(items)]
            mission = services.submit_mission(
                owner=owner, name="count", task_type="text_to_image", rows=rows, params={"aspectRatio": "1:1"}
            )
            with connection.execute_wrapper(counting):
                execution.dispatch(account.pk)
                execution.submit(list(Attempt.objects.filter(item__mission=mission).values_list("pk", flat=True)))
                time.sleep(0.5)
                while Attempt.objects.filter(status="running").update(next_poll_at=timezone.now()):
                    account.refresh_from_db()
                    execution.tick(account.pk, account.tick_number)
                output_ids = list(Output.objects.filter(item__mission=mission).values_list("pk", flat=True))
                for batch in bulk.batches(output_ids, download.BATCH):
                    download.archive(0, batch)
    return round(count / items, 1)


def show(figures: dict[str, Any], arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    where = "PostgreSQL" if arguments.database else "SQLite"
    title = (
        f"{arguments.items} items, {arguments.task_seconds:g} s tasks, {arguments.submit_latency:g} s submits, "
        f"cap {arguments.cap}, {arguments.workers} workers, polling floor {arguments.poll_floor:g} s (default 2 s), {where}"
    )
    table = Table(title=title, show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), str(value))
    Console(width=120).print(table)


def main() -> int:
    arguments = parse_arguments()
    from providers import encryption

    with scratch_site(arguments.database, ENCRYPTION_KEYS=encryption.new_key()):
        figures = run(arguments)
        figures["statements_per_item"] = statements_per_item()
    show(figures, arguments)
    if arguments.json:
        save(vars(arguments) | figures, arguments.json)
    is_right = figures["completed"] == figures["paid"] == arguments.items and figures["max_in_flight"] <= arguments.cap
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
