"""Recording of several answers in one transaction, or one by one if the database refuses one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from django.db import DataError, IntegrityError, transaction

from missions.models import Attempt

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


def record_together(
    answers: Mapping[Attempt, _Answer],
    record: Callable[[Mapping[Attempt, _Answer]], None],
    give_up: Callable[[Attempt], None] = lambda attempt: None,
) -> None:
    """Record answers in one transaction; those that the database refuses, one by one."""
    if not answers:
        return
    try:
        with transaction.atomic():
            record(answers)
    except (IntegrityError, DataError, ValueError):
        if len(answers) > 1:
            for attempt, answer in answers.items():
                record_together({attempt: answer}, record, give_up)
            return
        [attempt] = answers
        log.exception("The answer about attempt %s could not be recorded.", attempt.pk)
        give_up(attempt)
