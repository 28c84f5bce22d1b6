"""``make chaos``: random missions while processes, disk, database and provider fail.

    python -m tests.chaos --seconds 1200
    python -m tests.chaos --seconds 60 --seed 7 --database postgresql

The seed decides missions, settings, faults and pauses; the interleaving of processes is up to the
machine.  Exits with 1 when a violation was found, and then keeps the data folder with its logs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.site import ROOT, free_port, scratch_site
from tests.postgres_server import PostgresServer

OWN_SERVER = "postgresql"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1200.0, help="about how long (1200)")
    parser.add_argument("--seed", type=int, default=None, help="repeats a campaign; without it a new one is drawn")
    parser.add_argument(
        "--database",
        default="",
        help=f"{OWN_SERVER!r}: a server of its own, which is restarted, too; or the URL of one, which is left alone (SQLite)",
    )
    parser.add_argument("--report", type=Path, default=None, help="write the report to this file, as JSON")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    console = Console(highlight=False, markup=False, soft_wrap=True)
    about = {"seed": seed, "seconds": arguments.seconds, "database": arguments.database.partition(":")[0] or "sqlite"}
    console.print(", ".join(f"{name} {value}" for name, value in about.items()))
    folder = ROOT / "var" / f"chaos-{os.getpid()}"
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer()) if arguments.database == OWN_SERVER else None
        url, port = server.url() if server else arguments.database, free_port()
        stack.enter_context(scratch_site(url, folder, **environment(port)))
        rounds = play(seed, arguments.seconds, folder, port, server, console)
    from tests.chaos import report

    report.show(rounds, console)
    if arguments.report:
        report.write(rounds, arguments.report, **about)
    if any(round_.violations for round_ in rounds):
        console.print(f"Again: python -m tests.chaos --seed {seed}. Logs are in {folder}.")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def environment(port: int) -> dict[str, str]:
    """Return the settings of all processes; the simulator will listen on ``port``."""
    from devtools.local_stack import simulator_environment
    from providers import encryption

    return {
        **simulator_environment(f"http://127.0.0.1:{port}"),
        "READ_DOT_ENV": "0",
        "SECRET_KEY": "a-campaign-keeps-nothing-secret",
        "ENCRYPTION_KEYS": encryption.new_key(),
        "API_REQUESTS_PER_MINUTE": "0",
        "PUBLIC_BASE_URL": "",
    }


def play(
    seed: int, seconds: float, folder: Path, port: int, server: PostgresServer | None, console: Console
) -> list[Any]:
    """Play the rounds and show each when it has ended."""
    from django.core.management import call_command

    from tests.chaos import report
    from tests.chaos.campaign import Campaign

    call_command("migrate", verbosity=0)
    rounds = []
    for round_ in Campaign(seed=seed, seconds=seconds, folder=folder, port=port, server=server).rounds():
        report.show_round(round_, console)
        rounds.append(round_)
    return rounds


if __name__ == "__main__":
    sys.exit(main())
