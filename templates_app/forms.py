"""The form of a template: its name, its model, and a field for each of the model's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.errors import FieldError
from media.models import MediaFile
from providers import catalog
from providers.catalog.labels import parameter_label
from providers.catalog.task_types import TaskType
from providers.parameter_fields import PARAMETER, as_typed, parameter_field, wire_value
from templates_app.models import MissionTemplate
from templates_app.services import MAX_DESCRIPTION, MAX_NAME

_REFERENCE = re.compile(r"media:([0-9]{1,18})")


class TemplateFilterForm(forms.Form):
    """The list's filters, as they stand in its address.  A value that means nothing is left out."""

    search = forms.CharField(required=False, max_length=200, label=gettext_lazy("Search"))
    type = forms.ChoiceField(required=False, choices=TaskType.choices)

    def found(self) -> dict[str, str]:
        self.is_valid()
        return {"search": self.cleaned_data.get("search", ""), "task_type": self.cleaned_data.get("type", "")}


class TemplateForm(forms.Form):
    """Fields for one model of one task type.  ``values`` fill it, ``data`` is what was sent; ``images`` can be chosen."""

    name = forms.CharField(max_length=MAX_NAME, label=gettext_lazy("Name"))
    description = forms.CharField(
        required=False,
        max_length=MAX_DESCRIPTION,
        label=gettext_lazy("Description"),
        widget=forms.Textarea({"rows": 2}),
    )
    model = forms.ChoiceField(required=False, label=gettext_lazy("Model"))
    batch_fields = forms.MultipleChoiceField(
        required=False, label=gettext_lazy("Filled by each row"), widget=forms.CheckboxSelectMultiple
    )

    def __init__(
        self,
        task_type: str,
        *,
        values: Mapping[str, Any] | None = None,
        data: QueryDict | None = None,
        images: Sequence[MediaFile] = (),
    ) -> None:
        given: Mapping[str, Any] = data if data is not None else values or {}
        self.task_type = task_type
        self.chosen = _chosen_model(task_type, given.get("model") or "")
        super().__init__(data, initial={"batch_fields": [self.chosen.batch_field], **(values or {})})
        self._choices("model").choices = _model_choices(task_type)
        self._choices("batch_fields").choices = [
            (field.name, parameter_label(field.name)) for field in self.chosen.parameters
        ]
        for field in self.chosen.parameters:
            self.fields[PARAMETER + field.name] = parameter_field(field, images=images, is_decided=False)

    def _choices(self, name: str) -> forms.ChoiceField:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        return field

    def parameters(self) -> list[forms.BoundField]:
        """The fields of the model's parameters, in the catalogue's order."""
        return [self[PARAMETER + field.name] for field in self.chosen.parameters]

    def config(self) -> dict[str, Any]:
        """What was sent, as ``template_rules.clean_config`` takes it."""
        params = {
            field.name: wire_value(field, self.cleaned_data.get(PARAMETER + field.name) or "")
            for field in self.chosen.parameters
        }
        return {
            "model": self.cleaned_data.get("model", ""),
            "params": {name: value for name, value in params.items() if value not in ("", None, [])},
            "batch_fields": self.cleaned_data.get("batch_fields", []),
        }

    def typed(self) -> dict[str, Any]:
        """What was sent so far, right or wrong, to fill the form of another model with."""
        typed = {name: self[name].data for name in self.fields}
        fitting = set(typed["batch_fields"]) & {field.name for field in self.chosen.parameters}
        return typed | {"batch_fields": sorted(fitting) or [self.chosen.batch_field]}

    def show_problems(self, problems: Iterable[FieldError]) -> None:
        """Put each beside its field, or above the form."""
        for problem in problems:
            place = field_of(problem.field)
            self.add_error(place if place in self.fields else None, problem.message)


def values_of(template: MissionTemplate) -> dict[str, Any]:
    """What a stored template fills the form with; whatever of its config cannot be read is left out."""
    config = template.config if isinstance(template.config, dict) else {}
    params = config.get("params")
    values = {
        PARAMETER + str(name): as_typed(value) for name, value in (params if isinstance(params, dict) else {}).items()
    }
    values |= {"name": template.name, "description": template.description, "model": str(config.get("model") or "")}
    return values | ({"batch_fields": config["batch_fields"]} if config.get("batch_fields") else {})


def references_in(values: Mapping[str, Any] | QueryDict) -> set[int]:
    """The uploaded images that a form's values name, by id."""
    lists = values.lists() if isinstance(values, QueryDict) else values.items()
    given = [value for name, value in lists if name.startswith(PARAMETER)]
    texts = [str(text) for value in given for text in (value if isinstance(value, list) else [value])]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return {int(found[1]) for line in lines if (found := _REFERENCE.fullmatch(line))}


def field_of(place: str) -> str:
    """The form's field for a place in a config: ``param-size`` for ``config.params.size``."""
    for beginning, prefix in (("config.params.", PARAMETER), ("config.batch_fields", "batch_fields"), ("config.", "")):
        if place.startswith(beginning):
            rest = place.removeprefix(beginning)
            return prefix if prefix == "batch_fields" else prefix + rest
    return place


def _chosen_model(task_type: str, endpoint: str) -> catalog.Model:
    """The model whose parameters are asked for; the default's for one that is not (any more) in the catalogue."""
    models = {model.endpoint: model for model in catalog.all_models(task_type)}
    return models.get(endpoint) or catalog.find_default(task_type) or next(iter(models.values()))


def _model_choices(task_type: str) -> list[tuple[str, str]]:
    default = catalog.find_default(task_type)
    unnamed = _("The default (now %s)") % default.label if default else _("The default")
    return [("", unnamed), *((model.endpoint, model.label) for model in catalog.all_models(task_type))]
