"""A provider whose answers to one mission never end does not stop the others."""

from __future__ import annotations

import pytest

from missions.models import ItemStatus
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

SLOW_ITEMS = {"file": 240, "query": 60, "paid": 100}


@pytest.mark.parametrize("call", SLOW_ITEMS)
def test_other_items_pass_slow_answers(open_stage: OpenStage, call: str) -> None:
    stage = open_stage(task_seconds=1.0, cap=200, slow_seconds=80.0)
    stage.start_workers(12, cap=200)
    stage.finish(stage.mission(8, rows=[f"first {number}" for number in range(8)]))  # the usual duration is learned
    slow = stage.mission(SLOW_ITEMS[call], rows=[f"slow {n} [[sim:{call}:slow]]" for n in range(SLOW_ITEMS[call])])
    stage.wait(lambda: not slow.items.filter(status=ItemStatus.PENDING).exists(), 60)
    other = stage.mission(20, rows=[f"other {number}" for number in range(20)])
    took = stage.wait(lambda: not other.items.exclude(status=ItemStatus.COMPLETED).exists(), 100)
    stage.note(call=call, took=round(took, 1))
    stage.check_none_paid_twice()
