"""``make bench-download``: memory of the server and waits of others during a ZIP of 2 GB.

    python -m benchmarks.bench_download --gigabytes 2 --file-megabytes 4
    python -m benchmarks.bench_download --items 50000 --file-megabytes 0.02

Every item has the same file as its result.  The server reads, checksums and sends it each time; the
client only counts bytes.  Memory is the server's own (USS), times are in milliseconds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import requests

from benchmarks.site import STATE, free_port, scratch_site, web_process

MAX_GROWTH_MB = 60
MAX_MILLISECONDS = 200
LISTED_ITEMS = 50_000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--file-megabytes", type=float, default=4.0, help="the size of each result (4)")
    parser.add_argument("--items", type=int, default=0, help="that many results instead of --gigabytes")
    parser.add_argument("--at-once", type=int, default=1, help="clients that download at the same time (1)")
    parser.add_argument("--database", default="", help="a PostgreSQL server's URL; default: SQLite")
    return parser.parse_args()


def prepare(items: int, size: int) -> tuple[int, int, str]:
    """Create a mission with results of ``size`` bytes and a large one without, and a token."""
    from django.contrib.auth.models import User
    from django.core.files.base import ContentFile
    from django.core.files.storage import storages
    from django.core.management import call_command

    from accounts.services import create_token
    from tests.result_factories import make_large

    call_command("migrate", verbosity=0)
    owner = User.objects.create_user("bench")
    content = os.urandom(size)
    name = storages["results"].save("missions/1/result.png", ContentFile(content))
    digest = hashlib.sha256(content).hexdigest()
    stored = make_large(owner, items, file=name, size=size, digest=digest, name="Stored")
    listed = make_large(owner, LISTED_ITEMS, name="Listed")
    return stored.pk, listed.pk, create_token(user=owner, name="bench")[1]


class Watch:
    """The server's memory, and the time that another request takes, again and again."""

    def __init__(self, server: psutil.Process, url: str, headers: dict[str, str]) -> None:
        self.server = server
        self.url = url
        self.session = requests.Session()
        self.session.headers.update(headers)
        self.memory = self.before = server.memory_full_info().uss
        self.times: list[float] = []

    def look(self) -> None:
        began = time.perf_counter()
        self.session.get(self.url, timeout=30).raise_for_status()
        self.times.append(1000 * (time.perf_counter() - began))
        self.memory = max(self.memory, self.server.memory_full_info().uss)

    @contextmanager
    def watching(self) -> Iterator[None]:
        is_over = threading.Event()

        def go_on() -> None:
            while not is_over.wait(0.02):
                self.look()

        self.before = self.memory = self.server.memory_full_info().uss
        self.times = []
        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def figures(self) -> dict[str, float]:
        return {
            "growth_mb": round((self.memory - self.before) / 1e6, 1),
            "others_median_ms": round(statistics.median(self.times), 1),
            "others_slowest_ms": round(max(self.times), 1),
        }


def fetch(url: str, headers: dict[str, str]) -> dict[str, float]:
    """Download and count.  Raises when the bytes are not those that were promised."""
    began = time.perf_counter()
    first = count = 0.0
    with requests.get(url, headers=headers, stream=True, timeout=600) as answer:
        answer.raise_for_status()
        for piece in answer.raw.stream(1024**2):
            first = first or time.perf_counter() - began
            count += len(piece)
        promised = answer.headers.get("Content-Length")
    if promised is not None and int(promised) != count:
        raise RuntimeError(f"{count:.0f} of {promised} bytes came.")
    return {"bytes": count, "seconds": round(time.perf_counter() - began, 2), "first_byte_seconds": round(first, 2)}


def fetch_at_once(url: str, headers: dict[str, str], clients: int) -> dict[str, float]:
    results: list[dict[str, float]] = []
    threads = [threading.Thread(target=lambda: results.append(fetch(url, headers))) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(results) < clients:
        raise RuntimeError(f"{len(results)} of {clients} downloads came to their end.")
    return max(results, key=lambda figures: figures["seconds"])


def server_on(port: int) -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    return next(child for child in children if str(port) in child.cmdline())


def run(arguments: argparse.Namespace) -> bool:
    """Measure, print, and say whether the limits were kept."""
    size = int(arguments.file_megabytes * 1e6)
    items = arguments.items or int(arguments.gigabytes * 1e9 / size)
    stored, listed, token = prepare(items, size)
    headers = {"Authorization": f"Bearer {token}"}
    port = free_port()
    base = f"http://127.0.0.1:{port}/api/v1/missions"
    is_good = True
    environment = {name: os.environ[name] for name in ("DATA_DIR", "DATABASE_URL", "SECRET_KEY")}
    with web_process(environment | {"API_REQUESTS_PER_MINUTE": "0", "WEB_PROCESSES": "1"}, port):
        watch = Watch(server_on(port), f"{base}?page_size=20", headers)
        for _ in range(20):
            watch.look()
        print(f"{'idle':16}", watch.figures())
        for name, address, clients in (
            ("download", f"{stored}/download", arguments.at_once),
            ("results.jsonl", f"{listed}/results.jsonl", 1),
            ("results.csv", f"{listed}/results.csv", 1),
        ):
            with watch.watching():
                fetched = fetch_at_once(f"{base}/{address}", headers, clients)
            figures = watch.figures()
            print(f"{name:16}", fetched | figures)
            is_good &= figures["growth_mb"] < MAX_GROWTH_MB and figures["others_slowest_ms"] < MAX_MILLISECONDS
    return is_good


def main() -> None:
    arguments = parse_arguments()
    with scratch_site(arguments.database):
        is_good = run(arguments)
    shutil.rmtree(STATE, ignore_errors=True)
    if not is_good:
        raise SystemExit(f"More than {MAX_GROWTH_MB} MB, or others waited longer than {MAX_MILLISECONDS} ms.")


if __name__ == "__main__":
    main()
