"""The forms of the missions list and of a mission's pages.

They check shape only; the services decide what is possible.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from batch_input.variables import MAX_AROUND
from core.file_names import MAX_PATTERN
from core.tags import split_tags
from mission_pages import gallery_queries
from missions.models import ItemStatus, Mission, MissionItem, MissionStatus
from providers.catalog import Model
from providers.catalog.task_types import TaskType
from providers.parameter_fields import (
    PARAMETER,
    SpendingLimitField,
    as_typed,
    is_always_sent,
    parameter_field,
    show_currency,
    wire_value,
)

MAX_SELECTED = 10_000
MAX_SEARCH = 200  # characters of a search text
MAX_RETRIED_MISSIONS = 50
ORDERINGS = [
    ("-created_at", _("Newest first")),
    ("created_at", _("Oldest first")),
    ("-updated_at", _("Recently changed first")),
    ("name", _("By name")),
    ("-priority", _("Highest priority first")),
    ("-cost", _("Most expensive first")),
]


class FilterSelect(forms.Select):
    """A select without the frame of a field."""

    def __init__(self, attrs: Any = None, choices: Any = ()) -> None:
        super().__init__({"class": "input", **(attrs or {})}, choices)


class SearchField(forms.CharField):
    """The words of a search, without the frame of a field."""

    def __init__(self, placeholder: Any) -> None:
        attrs = {"class": "input", "type": "search", "placeholder": placeholder}
        super().__init__(required=False, max_length=MAX_SEARCH, label=_("Search"), widget=forms.TextInput(attrs=attrs))


class MissionFilterForm(forms.Form):
    """The filters of the missions list, as they stand in its URL. Invalid values are ignored."""

    search = SearchField(_("Name, prompt or custom ID"))
    status = forms.ChoiceField(
        required=False, label=_("Status"), choices=[("", _("Any status")), *MissionStatus.choices], widget=FilterSelect
    )
    task_type = forms.ChoiceField(
        required=False, label=_("Type"), choices=[("", _("Any type")), *TaskType.choices], widget=FilterSelect
    )
    folder = forms.CharField(required=False, max_length=100, label=_("Folder"), widget=FilterSelect)
    ordering = forms.ChoiceField(required=False, label=_("Order"), choices=ORDERINGS, widget=FilterSelect)

    def __init__(self, data: Any, *, folders: Sequence[str]) -> None:
        super().__init__(data)
        self.folders = folders
        self.fields["folder"].widget.choices = [("", _("All folders")), *((name, name) for name in folders)]

    @property
    def selects(self) -> list[forms.BoundField]:
        names = ["status", "task_type", *(["folder"] if self.folders else []), "ordering"]
        return [self[name] for name in names]

    @property
    def filters(self) -> dict[str, Any]:
        """Return the arguments for ``selectors.find_missions``."""
        self.is_valid()
        values = {name: value for name, value in self.cleaned_data.items() if value}
        if status := values.pop("status", ""):
            values["statuses"] = [status]
        return {"ordering": "-created_at", **values}

    @property
    def is_filtering(self) -> bool:
        return bool(self.filters.keys() - {"ordering"})


class ItemFilterForm(forms.Form):
    """The filters of the table of items, and the number it begins with."""

    status = forms.ChoiceField(required=False, label=_("Status"), choices=[("", _("All items")), *ItemStatus.choices])
    error_code = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    start = forms.IntegerField(required=False, min_value=1, max_value=10**8, label=_("Start at number"))


class RaiseLimitForm(forms.Form):
    """The spending limit with which a mission goes on."""

    spending_limit = SpendingLimitField()


class ReleaseForm(forms.Form):
    """A release. ``at_most`` is the price on the button, empty if it is unknown."""

    at_most = forms.DecimalField(required=False, widget=forms.HiddenInput)
    spending_limit = SpendingLimitField()


class StartForm(forms.Form):
    """The planned start of a mission that waits for it."""

    not_before = forms.DateTimeField(
        label=_("Starts at"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


PRIORITIES = [(10, _("High")), (0, _("Normal")), (-10, _("Low"))]


class PriorityField(forms.TypedChoiceField):
    """The priority of a mission. One that a program has set is kept and shown as its number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(label=_("Priority"), choices=PRIORITIES, coerce=int, **options)

    def keep(self, priority: int) -> None:
        """Offer a mission's own priority, too."""
        if priority not in dict(PRIORITIES):
            own = (priority, _("Set by a program: %(number)d") % {"number": priority})
            above = [choice for choice in PRIORITIES if choice[0] > priority]
            self.choices = [*above, own, *PRIORITIES[len(above) :]]


class MissionSettingsForm(forms.Form):
    """The settings of a mission that can be changed at any time."""

    name = forms.CharField(max_length=200, label=_("Name"))
    description = forms.CharField(
        required=False, max_length=10_000, label=_("Description"), widget=forms.Textarea(attrs={"rows": 3})
    )
    folder = forms.CharField(
        required=False,
        max_length=100,
        label=_("Folder"),
        help_text=_("Choose one or enter a new name. The list of missions can show one folder."),
        widget=forms.TextInput(attrs={"list": "folders", "autocomplete": "off"}),
    )
    priority = PriorityField()
    spending_limit = SpendingLimitField()
    file_name_pattern = forms.CharField(required=False, max_length=MAX_PATTERN, label=_("File names"))

    def __init__(self, *args: Any, mission: Mission, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_currency(self.fields["spending_limit"], mission.currency)
        cast(PriorityField, self.fields["priority"]).keep(mission.priority)


class SaveTemplateForm(forms.Form):
    """The name of a template that is made from a mission's model and shared parameters."""

    name = forms.CharField(max_length=200, label=_("Template name"))
    description = forms.CharField(required=False, max_length=10_000, label=_("Description"))


class RetryForm(forms.Form):
    """A retry of failed items: all, those of one cause, only the ``edited`` ones of these, or the
    ``promising`` ones.

    ``at_most`` is the number on the button, whose price the person has seen.
    """

    error_code = forms.CharField(required=False, max_length=64, empty_value=None)
    has_code = forms.BooleanField(required=False)
    promising = forms.BooleanField(required=False)
    edited = forms.BooleanField(required=False)
    at_most = forms.IntegerField(min_value=1, max_value=10**7)


class TextAroundPromptsField(forms.CharField):
    """A text that is put before or after every prompt, with line ends as prompts have them."""

    def __init__(self, *, label: Any, rows: int) -> None:
        widget = forms.Textarea({"rows": rows})
        super().__init__(label=label, required=False, max_length=MAX_AROUND, strip=False, widget=widget)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class ReplaceForm(forms.Form):
    """Words to replace in the prompts of failed items."""

    find = forms.CharField(max_length=1000, strip=False, label=_("Find"))
    replace = forms.CharField(max_length=1000, required=False, strip=False, label=_("Replace with"))
    match_case = forms.BooleanField(required=False, label=_("Match case"))

    @property
    def words(self) -> dict[str, Any]:
        """Return the arguments for ``services.replacements``."""
        return {name: self.cleaned_data[name] for name in ("find", "replace", "match_case")}


class MissionCountsField(forms.MultipleChoiceField):
    """Pairs ``mission=12:340`` of a mission's ID and the number of items to pay for."""

    def valid_value(self, value: str) -> bool:
        return re.fullmatch(r"[0-9]{1,18}:[0-9]{1,9}", value) is not None

    def clean(self, value: Any) -> dict[int, int]:
        pairs = (entry.split(":") for entry in super().clean(value)[:MAX_RETRIED_MISSIONS])
        return {int(mission_id): int(count) for mission_id, count in pairs}


class RetryCauseForm(forms.Form):
    """A retry of the items that failed for one cause, in several missions."""

    error_code = forms.CharField(required=False, max_length=64)
    mission = MissionCountsField()


class ProviderTaskForm(forms.Form):
    """The ID of a task that a person has looked up at the provider."""

    remote_task_id = forms.RegexField(
        regex=r"^[A-Za-z0-9_-]{1,64}$",
        label=_("Task ID"),
        error_messages={"invalid": _("A task ID contains only letters, digits, “-” and “_”.")},
    )


def number_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as a short text: ``1-48,52``."""
    text = ""
    for _difference, group in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _place, number in group]
        text += f",{run[0]}" if len(run) == 1 else f",{run[0]}-{run[-1]}"
    return text[1:]


class NumbersField(forms.Field):
    """Numbers of items. ``1-48,52`` names many at once, and the field may be repeated.

    Anything that is no number is ignored. More than MAX_SELECTED are refused.
    """

    widget = forms.MultipleHiddenInput
    pattern = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
    too_many = _("Select at most %(count)s results one by one, or select all.")

    def clean(self, value: Any) -> list[int]:
        numbers: set[int] = set()
        for part in ",".join(value or ()).split(","):
            if match := self.pattern.fullmatch(part):
                numbers.update(itertools.islice(range(int(match[1]), int(match[2] or match[1]) + 1), MAX_SELECTED + 1))
            if len(numbers) > MAX_SELECTED:
                raise forms.ValidationError(self.too_many % {"count": f"{MAX_SELECTED:,}"})
        return sorted(numbers)


class SelectionForm(forms.Form):
    """Selected results of a mission.

    ``item`` holds their numbers. If ``all`` is set, the results of ``view`` that ``search`` finds
    are selected, and ``item`` holds the ones that are not.
    """

    item = NumbersField(required=False)
    all = forms.BooleanField(required=False)
    view = forms.ChoiceField(required=False, choices=[(view, view) for view in gallery_queries.VIEWS])
    search = forms.CharField(required=False, max_length=MAX_SEARCH)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned["item"] and not cleaned.get("all"):
            raise forms.ValidationError(_("Select results first."))
        return cleaned

    def first_error(self) -> str:
        """Return why the selection is refused."""
        return next(str(message) for messages in self.errors.values() for message in messages)

    def indexes_of(self, mission: Mission) -> Sequence[int] | QuerySet[MissionItem, int]:
        """Return the numbers of the selected items. The form must be valid."""
        numbers: list[int] = self.cleaned_data["item"]
        if not self.cleaned_data["all"]:
            return numbers
        view = self.cleaned_data["view"] or gallery_queries.BATCH_ORDER
        words = gallery_queries.words_in(mission, self.cleaned_data["search"])
        found = gallery_queries.results(mission, view, words)
        return found.exclude(index__in=numbers).values_list("index", flat=True)


class ResultIdsField(NumbersField):
    """The ids of items, as ``NumbersField`` writes numbers."""

    pattern = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
    too_many = _("Select at most %(count)s results at once.")


class ResultSelectionForm(SelectionForm):
    """Selected results of any missions, by the ids of their items."""

    item = ResultIdsField(required=False)
    all: None = None  # type: ignore[assignment]  # that may be a million
    view: None = None  # type: ignore[assignment]
    search: None = None  # type: ignore[assignment]


class TagsField(forms.CharField):
    """Tags with commas between them. The service checks them."""

    def clean(self, value: Any) -> list[str]:
        return split_tags(super().clean(value))


class TagsForm(forms.Form):
    """Tags of results."""

    tags = TagsField(
        required=False,
        max_length=2000,
        label=_("Tags"),
        widget=forms.TextInput(
            attrs={"class": "input", "list": "known-tags", "autocomplete": "off", "placeholder": _("approved, spring")}
        ),
    )


class GalleryForm(forms.Form):
    """The part of a gallery that is shown, and its look. Invalid values are ignored.

    ``search``             words of the results
    ``after``, ``before``  a place, see ``gallery_queries``
    ``from``, ``to``       the places of a range
    ``at``                 the number of an item
    ``skip``               a number of results
    ``item``               the numbers of some items
    ``size``, ``fit``      the look of the tiles
    """

    search = SearchField(_("Prompt, ID, file or tag"))
    view = forms.ChoiceField(choices=[(view, view) for view in gallery_queries.VIEWS])
    at = forms.IntegerField(min_value=1, max_value=10**8)
    skip = forms.IntegerField(min_value=0, max_value=10**8)
    item = NumbersField()
    size = forms.ChoiceField(choices=[(size, size) for size in ("small", "medium", "large")])
    fit = forms.ChoiceField(choices=[("fill", "fill"), ("whole", "whole")])

    def value(self, name: str) -> Any:
        """Return a field's value; None, or "" for a place, if it is absent or invalid."""
        if name not in self.fields:
            return self.data.get(name, "")
        self.is_valid()
        return self.cleaned_data.get(name)


class VersionsSeenField(forms.Field):
    """Pairs ``22:1`` of an item's number and the latest version of its row that the page showed.

    They are separated by commas, and the field may be repeated.
    """

    widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> dict[int, int]:
        pairs = [pair.split(":") for pair in ",".join(value or ()).split(",")]
        if not all(len(pair) == 2 and all(re.fullmatch("[0-9]{1,9}", number) for number in pair) for pair in pairs):
            raise forms.ValidationError(_("Reload the page, then try again."))
        return {int(index): int(version) for index, version in pairs}


class AgainForm(forms.Form):
    """Results to make again. What the page did not show yet is not made a second time."""

    item = VersionsSeenField()


class ItemParametersForm(forms.Form):
    """All parameters of one item, for a retry with other values.

    The catalogue checks them; an empty one is not sent.
    """

    def __init__(self, model: Model, params: Mapping[str, Any], data: Any = None) -> None:
        self.model = model
        defaults = {field.name: field.default for field in model.parameters if is_always_sent(field)}
        initial = {PARAMETER + name: as_typed(value) for name, value in {**defaults, **params}.items()}
        super().__init__(data, initial=initial)
        self.fields.update({PARAMETER + field.name: parameter_field(field) for field in model.parameters})

    def changed_params(self) -> dict[str, Any]:
        """Return the parameters that differ from the item's, as the services take them."""
        changed = {}
        for field in self.model.parameters:
            name = PARAMETER + field.name
            before, after = (wire_value(field, values.get(name, "")) for values in (self.initial, self.cleaned_data))
            if after != before:
                changed[field.name] = after
        return changed

    def add_errors(self, errors: Mapping[str, str]) -> None:
        """Put each message at its parameter, or above the form."""
        for name, message in errors.items():
            self.add_error(PARAMETER + name if PARAMETER + name in self.fields else None, message)
