"""``make bench-pages``: response times of a large mission's pages for a signed-in person.

    python -m benchmarks.bench_pages --items 50000 --rounds 20
    python -m benchmarks.bench_pages --history 1000000

With a history, other people's missions of so many items are in the database as well, all of it is
indexed, and searches are measured as well: in the mission's gallery, for the owner, who has few of
the results, and for an operator, who sees all of them.

Times are in milliseconds, for a client on this machine with one kept-alive connection, without the
pictures on the page.  Half of the mission's items are completed, a tenth failed, the rest pending;
no worker runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import requests

from benchmarks.figures import show_times, summary, timed
from benchmarks.site import free_port, scratch_site, web_process

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TARGET_MS = 150.0
RESULTS_TARGET_MS = 200.0
# All prompts of the data have a number, also those of the owner.
SEARCHES = {
    "a word of all": "number",
    "a word of few": "number 1234",
    "beginnings": "nu o",
    "no such word": "number zebra",
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--history", type=int, default=0, help="items of other people's missions")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    return parser.parse_args()


def prepare(items: int, history: int) -> tuple[int, str, str]:
    """Create a large mission. Return it with the sessions of its owner and of an operator."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from missions import search
    from tests.result_factories import make_half_done

    call_command("migrate", verbosity=0)
    if history:
        call_command("make_history", items=history)
    owner = User.objects.create_user("bench")
    mission = make_half_done(owner, items, results=items // 2)
    if history:
        began = time.perf_counter()
        while search.catch_up(seconds=60):
            pass
        print(f"indexed in {time.perf_counter() - began:.0f} s")
    return mission.pk, session_of(owner), session_of(User.objects.create_superuser("operator"))


def session_of(user: User) -> str:
    from django.test import Client

    client = Client()
    client.force_login(user)
    return str(client.cookies["sessionid"].value)


def addresses(mission_id: int, items: int) -> dict[str, str]:
    here = f"/missions/{mission_id}"
    return {
        "missions": "/missions",
        "gallery": here,
        "gallery in the order of the batch": f"{here}?view=batch",
        "gallery from the middle on": f"{here}?view=batch&after={items // 4}",
        "starred results": f"{here}?view=starred",
        "items": f"{here}/items",
        "items from the middle on": f"{here}/items?start={items // 2}",
        "items that wait": f"{here}/items?status=pending",
        "failures": f"{here}/failures",
        "settings": f"{here}/settings",
        "what an open page asks for": f"{here}/pulse",
        "new mission": "/missions/new",
    }


def main() -> int:
    arguments = parse_arguments()
    with scratch_site(arguments.database):
        mission_id, owner_key, operator_key = prepare(arguments.items, arguments.history)
        rows = measure(owner_key, addresses(mission_id, arguments.items), arguments.rounds, TARGET_MS)
        if arguments.history:
            searches = {
                f"gallery: {about}": f"/missions/{mission_id}?search={text}" for about, text in SEARCHES.items()
            }
            rows += measure(owner_key, searches, arguments.rounds, TARGET_MS)
            for key, name in ((owner_key, "owner"), (operator_key, "operator")):
                searches = {f"{name}: {about}": f"/results?search={text}" for about, text in SEARCHES.items()}
                rows += measure(key, searches, arguments.rounds, TARGET_MS)
                rows += measure(key, {f"{name}: all results": "/results"}, arguments.rounds, RESULTS_TARGET_MS)
                missions = {f"{name}: missions with a prompt": "/missions?search=number"}
                rows += measure(key, missions, arguments.rounds, TARGET_MS)
    show_times(
        {
            "items": arguments.items + arguments.history,
            "database": "PostgreSQL" if arguments.database else "SQLite",
            "requests": rows,
        }
    )
    return 0 if all(row["is_met"] for row in rows) else 1


def measure(session_key: str, addresses: Mapping[str, str], rounds: int, target_ms: float) -> list[dict[str, Any]]:
    """Return a row of figures for each address, requested with the session."""
    port = free_port()
    with web_process({}, port), requests.Session() as session:
        session.cookies.set("sessionid", session_key)
        base = f"http://127.0.0.1:{port}"
        return [
            summary(name, repeated(session, base + address, rounds), target_ms) for name, address in addresses.items()
        ]


def repeated(session: requests.Session, url: str, rounds: int) -> list[float]:
    """Return times without the first, which also loads code and templates."""
    return [timed(lambda: ask(session, url)) for _ in range(rounds + 1)][1:]


def ask(session: requests.Session, url: str) -> None:
    answer = session.get(url, timeout=60, allow_redirects=False)
    assert answer.status_code == 200, (url, answer.status_code)


if __name__ == "__main__":
    sys.exit(main())
