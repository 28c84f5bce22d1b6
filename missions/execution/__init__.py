"""The steps of workers: claim, submit, poll, repair.

Downloads are in ``missions.results.download``.

The database is the queue of record; a message only wakes a worker. Every action has three steps:
claim in a short transaction, call the provider outside of any transaction, record in a short
transaction. At any moment the rows show what may have been paid.

    scheduler   the ticks of one account: claim what is due, re-arm, poll
    dispatch    gives free slots to items, under the account's row lock
    submit      marks *sending*, makes ONE call, records the answer; ``inline``: calls of minutes
    poll        polls running tasks; ``completion`` records how they ended
    cancel      cancels tasks of cancelled missions that wait in the provider's queue
    unconfirmed asks the provider about unconfirmed attempts
    reaper      repairs what dead workers left, and starts what has become due
"""

from missions.execution.cancel import cancel_waiting
from missions.execution.dispatch import dispatch
from missions.execution.poll import POLL_BATCH, poll, poll_attempt, poll_due, poll_unanswered
from missions.execution.reaper import reap, recover, repair
from missions.execution.scheduler import arm, arm_stale, tick
from missions.execution.submit import refill, submit
from missions.execution.unconfirmed import attach, resolve_unconfirmed

__all__ = [
    "POLL_BATCH",
    "arm",
    "arm_stale",
    "attach",
    "cancel_waiting",
    "dispatch",
    "poll",
    "poll_attempt",
    "poll_due",
    "poll_unanswered",
    "reap",
    "recover",
    "refill",
    "repair",
    "resolve_unconfirmed",
    "submit",
    "tick",
]
