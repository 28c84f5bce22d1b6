"""The reasons for moves of missions, items and attempts (see ``core.reasons``)."""

from __future__ import annotations

from core.reasons import define

# Missions
START_REACHED = define("start_reached", "The planned start time was reached.")
STARTED_BY_PERSON = define("started_by_person", "Started by a person before its planned time.")
PAUSED_BY_PERSON = define("paused_by_person", "Paused by a person.")
PAUSED_BY = define("paused_by", "Paused by %(name)s.")
KEY_CHANGED = define(
    "key_changed",
    "The API key or the provider's address has changed. Resume to continue; items are then charged to the new account.",
)
RELEASED = define("released", "Rows that were released by a person: %(count)s.")
FIRST_ROWS_DONE = define(
    "first_rows_done",
    "The first rows have finished: %(count)s. Look at them, then release the rest, change it, or cancel.",
)
RESTORED = define(
    "restored",
    "The database was restored from a backup: items that are pending here may have been sent and charged after the "
    "backup was made.",
)
OWNER_INACTIVE = define(
    "owner_inactive",
    "%(name)s was made inactive, so nothing more is sent. Items that the provider has accepted finish and are charged.",
)
DELETED = define("mission_deleted", "The mission was deleted.")
FAILURES_IN_A_ROW = define(
    "failures_in_a_row",
    "The last %(count)s items failed for the same cause (%(code)s), so the mission was paused and nothing more is sent. "
    "They were charged %(charged_money)s. Look at the failures, remove the cause, then resume.",
)

CHARGED_ABOVE_PRICE = define(
    "charged_above_price",
    "The provider charged %(charged_money)s for one item that was expected to cost %(expected_money)s. Nothing more is "
    "sent until the mission is resumed: check the price at the provider first. Later items are then expected to cost "
    "as much.",
)
UNBELIEVABLE_CHARGE = define(
    "unbelievable_charge",
    "The provider reports a charge of %(charged_money)s for one item that was expected to cost %(expected_money)s. It "
    "is not counted: compare it with the provider's bill. Nothing more is sent until the mission is resumed.",
)

# Items that were not sent
PAUSED_BEFORE_SENDING = define("paused_before_sending", "The mission was paused before this item was sent.")
CANCELLED_BEFORE_SENDING = define("cancelled_before_sending", "The mission was cancelled before this item was sent.")
STOPPED_BEFORE_SENDING = define("stopped_before_sending", "Stopped before it was sent.")
WORKER_DIED_BEFORE_SENDING = define(
    "worker_died_before_sending", "The process that held this item ended before it sent it."
)
NOT_SENT_IN_TIME = define("not_sent_in_time", "No worker sent this item in time; it waits again.")
NOT_PREPARED = define("not_prepared", "This item could not be prepared. Nothing was sent.")
REFERENCE_UNUSABLE = define(
    "reference_unusable",
    "The image %(reference)s cannot be converted to what the model takes. Nothing was sent. Use another image.",
)
IMAGES_CONVERTED = define(
    "images_converted", "Images that are converted for this model: %(count)s. For example: %(examples)s."
)
RETRIED = define("retried", "Retried by a person.")
RETRIED_BY = define("retried_by", "Retried by %(name)s.")
MADE_AGAIN = define("made_again", "Version %(version)s of result %(place)s, made again by a person.")

# Unconfirmed items
WORKER_DIED = define(
    "worker_died", "The process that was sending this item ended: the provider may have accepted and charged it."
)
INTERRUPTED = define(
    "interrupted",
    "The submission was interrupted by an error in this program. It may have been accepted and charged.",
)
ODD_ANSWER = define(
    "odd_answer",
    "The provider's answer could not be recorded: it names the task of another item. "
    "It may have been accepted and charged.",
)
UNRECORDED = define(
    "unrecorded",
    "The provider's answer could not be recorded. It may have been accepted and charged: look for the task at the "
    "provider.",
)
UNKNOWN_STATUS = define(
    "unknown_status",
    "The provider says %(word)s about task %(task_id)s, a status that this program does not know. It may have ended "
    "and been charged. Look at the provider: enter the task's id to take its results, or confirm that it never ran.",
)
UNREACHABLE = define(
    "out_of_sight",
    "For %(minutes)s minutes the provider could not report on task %(task_id)s. It may have ended and been charged. "
    "It is still polled now and then; that costs nothing.",
)
NOT_RUN = define("not_run", "A person confirmed that the task never ran.")
NOT_RECEIVED = define("not_received", "The provider did not receive it.")
ANSWER_FOUND = define("answer_found", "The worker died, but it had noted the task that the provider named.")
TASK_CONFIRMED = define("task_confirmed", "The provider confirmed the task.")
OTHER_KEY = define("other_key", "The account's key was changed; the task can only be seen with the old one.")

# The ends of tasks
NO_RESULT = define("no_result", "The provider reported success without a result. It may have been charged.")
CANCELLED_REMOTELY = define("cancelled_remotely", "The task was cancelled at the provider.")
GONE = define("gone", "The provider no longer knows this task. It may have been charged.")
FAILED = define("failed", "The task failed at the provider, which gave no reason.")
DEADLINE = define("deadline", "No result after %(minutes)s minutes. Task %(task_id)s may still end and be charged.")

UNRECORDABLE = define(
    "unrecordable",
    "Task %(task_id)s has ended, but the provider's answer could not be recorded. It may have been charged: look for "
    "its results at the provider before you retry the item.",
)
TOO_MANY_RESULTS = define(
    "too_many_results", "The provider reported %(count)s results; the first %(stored)s are stored."
)

# Results
NOT_STORED = define("not_stored", "The results could not be stored here. They are fetched again later, for free.")
OUTPUT_LOST = define("output_lost", "The result could not be fetched before its address expired.")
OUTPUT_NO_SPACE = define(
    "output_no_space", "The result could not be stored: no space is left on the server's disk. Tell an operator."
)
OUTPUT_NOT_STORED = define(
    "output_not_stored", "The result could not be stored. The workers' log says why. Tell an operator."
)
OUTPUT_NOT_FETCHED = define("output_not_fetched", "The result could not be fetched. The workers' log says why.")
OUTPUT_REMOVED = define(
    "output_removed", "The file was removed, because the operator keeps results for a limited time."
)

# Entries of the admin's log
ADMIN_PAUSED = define("admin_paused", "Paused in the administration.")
ADMIN_RESUMED = define("admin_resumed", "Resumed in the administration.")
ADMIN_RETRIED = define("admin_retried", "Failed items retried in the administration.")
ADMIN_RECOUNTED = define("admin_recounted", "Recounted in the administration.")
ADMIN_CANCELLED = define("admin_cancelled", "Cancelled in the administration.")
ADMIN_DELETED = define("admin_deleted", "Deleted in the administration.")
ADMIN_ITEM_RETRIED = define("admin_item_retried", "Retried in the administration.")
ADMIN_TASK_ATTACHED = define("admin_task_attached", "Task attached in the administration.")
ADMIN_NOT_RUN = define("admin_not_run", "Marked as not run in the administration.")
