"""The index of the search: words of results and of prompts.

``missions.search`` writes and reads it. All of it can be deleted: it is filled again in the
background. The rows refer to others without constraints of the database, because programs of the
release before delete items without knowing these tables.
"""

from __future__ import annotations

from django.db import models

from core.db.words import WordsField
from missions.models.item import MissionItem
from missions.models.mission import Mission


class ResultEntry(models.Model):
    """The words of a completed item: prompt, own id, file names, and marks such as its owner.

    ``place`` orders results by their completion; a greater one is newer. An item that is completed
    again gets a new place.
    """

    place = models.BigIntegerField(primary_key=True)
    item = models.OneToOneField(MissionItem, on_delete=models.CASCADE, db_constraint=False, related_name="entry")
    completed_at = models.DateTimeField()
    words = WordsField()

    def __str__(self) -> str:
        return f"{self.place}: item {self.item_id}"


class PromptEntry(models.Model):
    """The words of a part of a mission's items, whatever their status.

    The first part also has those of the mission's name and description.
    """

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    part = models.PositiveIntegerField()
    words = WordsField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mission", "part"], name="prompt_entry_once_per_part")]

    def __str__(self) -> str:
        return f"part {self.part} of mission {self.mission_id}"


class SearchDay(models.Model):
    """The span of places that the results of a day (UTC) have. Other days may have some of them."""

    day = models.DateField(primary_key=True)
    lowest = models.BigIntegerField()
    highest = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.day}"


class SearchWord(models.Model):
    """A word or mark of the index, and how often it was indexed.

    It finds words by their beginning, and says which are frequent.
    """

    word = models.CharField(max_length=40, primary_key=True)
    count = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return self.word


class SearchState(models.Model):
    """One row: how far the index is.

    Completions up to ``indexed_to`` are in it. ``started_at`` is when the index was created:
    results that are older get the places below ``lowest_place``.
    """

    started_at = models.DateTimeField()
    indexed_to = models.DateTimeField()
    checked_at = models.DateTimeField(help_text="When late completions were last looked for.")
    leased_until = models.DateTimeField(help_text="Until then one worker writes the index.")
    highest_place = models.BigIntegerField(default=2**40)
    lowest_place = models.BigIntegerField(default=2**40 + 1)

    def __str__(self) -> str:
        return f"{self.indexed_to}"
