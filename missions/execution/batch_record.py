"""Recording of several answers in one transaction, or one by one if one cannot be recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from django.db import InterfaceError, OperationalError, transaction

from missions.models import Attempt

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


def record_together(
    answers: Mapping[Attempt, _Answer],
    record: Callable[[Mapping[Attempt, _Answer]], None],
    give_up: Callable[[Attempt, Exception], None],
) -> None:
    """Record answers in one transaction; if that fails, each on its own.

    ``give_up`` is called for an answer that cannot be recorded on its own either. Raises
    OperationalError and InterfaceError: then the database fails, not an answer.
    """
    if not answers:
        return
    try:
        with transaction.atomic():
            record(answers)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(answers) > 1:
            for attempt, answer in answers.items():
                record_together({attempt: answer}, record, give_up)
            return
        [attempt] = answers
        log.exception("The answer about attempt %s could not be recorded.", attempt.pk)
        give_up(attempt, error)
