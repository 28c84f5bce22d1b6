"""Forms of the missions list and of a mission's pages."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from missions.models import ItemStatus, MissionStatus
from providers.catalog.task_types import TaskType
from providers.parameter_fields import SpendingLimitField

MOST_SELECTED = 5000
ORDERINGS = [
    ("-created_at", _("Newest first")),
    ("created_at", _("Oldest first")),
    ("-updated_at", _("Latest change first")),
    ("name", _("By name")),
    ("-priority", _("Most urgent first")),
    ("-cost", _("Most expensive first")),
]


class _Select(forms.Select):
    """A select that stands outside a field's frame."""

    def __init__(self, attrs: Any = None, choices: Any = ()) -> None:
        super().__init__({"class": "input", **(attrs or {})}, choices)


class MissionFilterForm(forms.Form):
    """The list's filters, as they stand in its address.  A value that means nothing is left out."""

    search = forms.CharField(
        required=False,
        max_length=200,
        label=_("Search"),
        widget=forms.TextInput(attrs={"class": "input", "type": "search", "placeholder": _("Name or description")}),
    )
    status = forms.ChoiceField(
        required=False, label=_("Status"), choices=[("", _("Any status")), *MissionStatus.choices], widget=_Select
    )
    task_type = forms.ChoiceField(
        required=False, label=_("Type"), choices=[("", _("Any type")), *TaskType.choices], widget=_Select
    )
    ordering = forms.ChoiceField(required=False, label=_("Order"), choices=ORDERINGS, widget=_Select)

    @property
    def selects(self) -> list[forms.BoundField]:
        return [self["status"], self["task_type"], self["ordering"]]

    @property
    def wanted(self) -> dict[str, Any]:
        """The arguments for ``selectors.find_missions``."""
        self.is_valid()
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return {"ordering": "-created_at", **given}

    @property
    def is_filtering(self) -> bool:
        return bool(self.wanted.keys() - {"ordering"})


class ItemFilterForm(forms.Form):
    """Which items of a mission the table shows, from which place on."""

    status = forms.ChoiceField(required=False, label=_("Status"), choices=[("", _("All items")), *ItemStatus.choices])
    error_code = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    start = forms.IntegerField(required=False, min_value=1, max_value=10**8, label=_("From number"))


class MissionSettingsForm(forms.Form):
    """What may be changed of a mission at any time."""

    name = forms.CharField(max_length=200, label=_("Name"))
    description = forms.CharField(
        required=False, max_length=10_000, label=_("Description"), widget=forms.Textarea(attrs={"rows": 3})
    )
    priority = forms.IntegerField(
        min_value=-100, max_value=100, label=_("Priority"), help_text=_("From −100 to 100. Higher goes first.")
    )
    spending_limit = SpendingLimitField()


class SaveTemplateForm(forms.Form):
    """A template is made of a mission's model and shared parameters."""

    name = forms.CharField(max_length=200, label=_("Template name"))
    description = forms.CharField(required=False, max_length=10_000, label=_("Description"))


class RetryForm(forms.Form):
    """``at_most``: the number that the button named, and whose price a person has seen."""

    error_code = forms.CharField(required=False, max_length=64, empty_value=None)
    has_code = forms.BooleanField(required=False)
    at_most = forms.IntegerField(min_value=1, max_value=10**7)


class MissionCountsField(forms.MultipleChoiceField):
    """``mission=12:340`` for each mission: its number, and how many items of it a person has agreed to pay for."""

    most = 50

    def valid_value(self, value: str) -> bool:
        return re.fullmatch(r"[0-9]{1,18}:[0-9]{1,9}", value) is not None

    def clean(self, value: Any) -> dict[int, int]:
        pairs = (entry.split(":") for entry in super().clean(value)[: self.most])
        return {int(mission_id): int(count) for mission_id, count in pairs}


class RetryCauseForm(forms.Form):
    """What failed for one cause, in several missions."""

    error_code = forms.CharField(required=False, max_length=64)
    mission = MissionCountsField()


class FoundTaskForm(forms.Form):
    """The number of a task that a person found at the provider."""

    remote_task_id = forms.RegexField(
        regex=r"^[A-Za-z0-9_-]{1,64}$",
        label=_("Task ID"),
        error_messages={"invalid": _("A task ID has only letters, digits, “-” and “_”.")},
    )


class SelectionForm(forms.Form):
    """Results that were ticked, by their places in the batch.  What is no place is left out."""

    item = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, data: QueryDict) -> None:
        places = [value for value in data.getlist("item") if value.isdecimal() and len(value) < 10][:MOST_SELECTED]
        wanted = data.copy()
        wanted.setlist("item", places)
        super().__init__(wanted)
        self.fields["item"].choices = [(place, place) for place in places]  # type: ignore[attr-defined]
