"""Checks of a finished run: its counts, its files, and the payments at the simulator.

Each check yields a sentence for every problem.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
from django.core.files.storage import storages
from django.db.models import QuerySet, Sum

from media.probe import NotAResult, inspect
from missions.maintenance import reconcile_counts
from missions.models import Attempt, ItemStatus, Mission, MissionItem, Output, OutputStatus
from providers import catalog

CHUNK_BYTES = 1024 * 1024


def counts(missions: QuerySet[Mission]) -> Iterator[str]:
    """Check that every item is completed and that the counts on missions match their items."""
    for mission in missions:
        if mission.completed_count != mission.total_count:
            yield f"{mission.name}: {mission.completed_count} of {mission.total_count} items are completed."
    yield from map(str, reconcile_counts.differences(missions))


def files(missions: QuerySet[Mission]) -> Iterator[str]:
    """Check that each completed item has a file of the right type, unchanged since its download."""
    stored = Output.objects.filter(item__mission__in=missions, status=OutputStatus.STORED)
    completed = MissionItem.objects.filter(mission__in=missions, status=ItemStatus.COMPLETED)
    missing = completed.exclude(pk__in=stored.values("item"))
    yield from (f"{item} is completed and has no file." for item in missing)
    for output in stored.select_related("item__mission"):
        path = Path(storages["results"].path(output.file))
        kind = catalog.model_of(output.item.mission).result_kind
        if not path.is_file() or not path.stat().st_size:
            yield f"The file of {output.item} is missing or empty."
            continue
        try:
            media = inspect(path, claimed=output.extension)
        except NotAResult as error:
            yield f"The file of {output.item} cannot be opened: {error}."
            continue
        if not media.content_type.startswith(f"{kind}/"):
            yield f"The file of {output.item} is {media.content_type}, not {kind}."
        elif sha256_of(output.file) != output.sha256:
            yield f"The file of {output.item} was changed after its download."


def payments(missions: QuerySet[Mission], paid: dict[str, int], stats: dict[str, Any]) -> Iterator[str]:
    """Check that the simulator was paid for our attempts only, and twice only after a failure.

    ``paid`` counts accepted submissions by request; ``stats`` is the simulator's
    ``/__sim__/stats``.
    """
    attempts = Attempt.objects.filter(item__mission__in=missions).exclude(remote_task_id="")
    ours = Counter(attempts.values_list("item", flat=True))
    if sorted(ours.values()) != sorted(paid.values()):
        yield f"The simulator accepted {sum(paid.values())} submissions, our database has {sum(ours.values())}."
    retries = missions.aggregate(sum=Sum("items__retry_count"))["sum"] or 0
    surplus = sum(paid.values()) - len(paid) - retries
    if surplus:
        yield f"{surplus} requests were paid twice although the first had not failed."
    amounts = costs(missions)
    if len(amounts) > 1:
        yield f"The missions cost {' and '.join(amounts)}, but a simulator charges in one currency."
    elif sum(amounts.values()) != Decimal(stats["charged"]):
        yield f"Our cost is {sum(amounts.values())}, the simulator charged {stats['charged']}."


def costs(missions: QuerySet[Mission]) -> dict[str, Decimal]:
    """Return what the missions cost, by currency. Amounts of two currencies are never added."""
    return dict(missions.filter(cost__gt=0).order_by().values_list("currency").annotate(Sum("cost")))


def processes(members: Sequence[psutil.Process]) -> Iterator[str]:
    """Check that none of these processes is left."""
    for process in psutil.wait_procs(members, timeout=5)[1]:
        yield f"Process {process.pid} is still running."


def sha256_of(name: str) -> str:
    """Return the digest of a stored result."""
    digest = hashlib.sha256()
    with storages["results"].open(name) as file:
        for chunk in file.chunks(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
