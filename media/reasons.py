"""The reasons why a file is not accepted (see ``core.reasons``)."""

from __future__ import annotations

from core.reasons import define

OUTPUT_UNREADABLE = define(
    "output_unreadable", "The result is not a readable image or video: it is damaged, or something else."
)
