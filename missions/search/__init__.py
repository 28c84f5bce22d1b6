"""Search over the results and prompts of all missions.

    documents   the words of an item, and the marks that filters ask for
    indexing    fills the index in the background, in small transactions
    queries     finds results and missions

The index (``missions.models.search``) is filled by workers a moment after rows have changed, also
for rows that programs of the release before have written: the marker of a mission says which of its
items are not indexed, and completions are found by the time at which their attempts ended.
"""

from missions.search.indexing import catch_up, is_behind, mark_changed, rebuild, refresh_marks
from missions.search.queries import Filters, ResultsPage, find_results, missions_with_words, word_query

__all__ = [
    "Filters",
    "ResultsPage",
    "catch_up",
    "find_results",
    "is_behind",
    "mark_changed",
    "missions_with_words",
    "rebuild",
    "refresh_marks",
    "word_query",
]
