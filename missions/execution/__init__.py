"""What workers do.  Downloads are in ``missions.results.download``.

The database is the queue of record; a message only wakes a worker.  Every verb has the same shape: claim in a short
transaction, talk to the network in none, record in a short transaction.  Whatever the machine does between two of these
steps, the rows say what may have been paid.

    ticks       the heart of one account: claims what is due, re-arms itself, asks
    slots       dispatch: gives free slots to items, under the account's row lock
    submission  marks *sending*, makes ONE POST, records the answer
    watching    asks how tasks stand; ``ends`` records how they ended
    rescue      attaches a task to an attempt of unknown fate
    repair      reap: repairs what dead workers left, and starts what time has made due
"""

from missions.execution.dispatch import dispatch
from missions.execution.poll import POLL_BATCH, poll, poll_attempt, poll_due
from missions.execution.reaper import reap, recover, repair
from missions.execution.reconcile import attach, rescue
from missions.execution.scheduler import arm, arm_stale, tick
from missions.execution.submit import refill, submit

__all__ = [
    "POLL_BATCH",
    "arm",
    "arm_stale",
    "attach",
    "dispatch",
    "poll",
    "poll_attempt",
    "poll_due",
    "reap",
    "recover",
    "refill",
    "repair",
    "rescue",
    "submit",
    "tick",
]
