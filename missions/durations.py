"""Expected durations of a model's tasks, learned from its latest successes."""

from __future__ import annotations

from django.core.cache import cache

from missions.models import Attempt, AttemptStatus
from missions.policy.polling import Duration, Expectation, learn

SAMPLES = 40  # latest successes of a model
ROWS = 3 * SAMPLES  # the rows that are read, because some of them teach nothing
UNSEEN_LOW = 0.95  # share of its duration; a task never seen running ended some time before its first poll
CACHE_SECONDS = 2.0
UNKNOWN_CACHE_SECONDS = 0.25


def expectation(provider: str, endpoint: str) -> Expectation | None:
    """Return the expected end of the tasks of a provider's model, None while it has too few
    successes.

    Cached for a moment in each process.
    """
    key = f"expectation:{provider}:{endpoint}"
    entry: tuple[Expectation | None] | None = cache.get(key)
    if entry is None:
        entry = (learn(recent_durations(provider, endpoint)),)
        cache.set(key, entry, UNKNOWN_CACHE_SECONDS if entry[0] is None else CACHE_SECONDS)
    return entry[0]


def recent_durations(provider: str, endpoint: str) -> list[Duration]:
    """Return the durations of the latest successes of a provider's model, as exact as the polls
    allow.

    Left out are those whose end was not watched: the poll that found it was late, or no poll before
    it was answered. After an outage they would look as if they had run all the time.
    """
    succeeded = Attempt.objects.filter(model=endpoint, status=AttemptStatus.SUCCEEDED, accepted_at__isnull=False)
    rows = succeeded.filter(account__provider=provider)
    fields = ("accepted_at", "running_seen_at", "ended_at", "was_polled_late", "unanswered_since")
    durations = [
        Duration(
            low=(seen - accepted).total_seconds() if seen else (ended - accepted).total_seconds() * UNSEEN_LOW,
            high=(ended - accepted).total_seconds(),
        )
        for accepted, seen, ended, was_late, unanswered_since in rows.order_by("-ended_at").values_list(*fields)[:ROWS]
        if accepted is not None and ended is not None and not was_late and unanswered_since is None
    ]
    return durations[:SAMPLES]
