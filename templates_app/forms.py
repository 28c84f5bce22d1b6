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
    """The filters of the list, as they stand in its URL. An invalid value counts as none."""

    search = forms.CharField(required=False, max_length=200, label=gettext_lazy("Search"))
    type = forms.ChoiceField(required=False, choices=TaskType.choices)

    def filters(self) -> dict[str, str]:
        """Return the arguments of ``selectors.find_templates``."""
        self.is_valid()
        return {"search": self.cleaned_data.get("search", ""), "task_type": self.cleaned_data.get("type", "")}


class TemplateForm(forms.Form):
    """Fields for one model of one task type.

    ``values`` fill it, or ``data`` that was posted. It offers ``images``, and the models that the
    person ``owner_id`` may use.
    """

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
        owner_id: int | None = None,
        images: Sequence[MediaFile] = (),
    ) -> None:
        source: Mapping[str, Any] = data if data is not None else values or {}
        self.task_type = task_type
        models = {model.key: model for model in catalog.all_models(task_type, owner_id=owner_id)}
        default = catalog.find_default(task_type)
        self.chosen_model = models.get(source.get("model") or "") or default or next(iter(models.values()))
        super().__init__(data, initial={"batch_fields": [self.chosen_model.batch_field], **(values or {})})
        follow_default = _("Default (now %s)") % default.short_label if default else _("Default")
        model_choices = [("", follow_default), *((name, model.short_label) for name, model in models.items())]
        field_choices = [
            (parameter.name, parameter_label(parameter.name)) for parameter in self.chosen_model.parameters
        ]
        for name, choices in (("model", model_choices), ("batch_fields", field_choices)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = choices
        for parameter in self.chosen_model.parameters:
            self.fields[PARAMETER + parameter.name] = parameter_field(parameter, images=images, is_decided=False)

    def parameters(self) -> list[forms.BoundField]:
        """Return the fields of the model's parameters, in the catalogue's order."""
        return [self[PARAMETER + parameter.name] for parameter in self.chosen_model.parameters]

    def config(self) -> dict[str, Any]:
        """Return what was posted as the config of a template."""
        params = {
            parameter.name: wire_value(parameter, self.cleaned_data.get(PARAMETER + parameter.name) or "")
            for parameter in self.chosen_model.parameters
        }
        return {
            "model": self.cleaned_data.get("model", ""),
            "params": {name: value for name, value in params.items() if value not in ("", None, [])},
            "batch_fields": self.cleaned_data.get("batch_fields", []),
        }

    def posted_values(self) -> dict[str, Any]:
        """Return the posted values, valid or not, to fill the form of another model with."""
        values = {name: self[name].data for name in self.fields}
        batch_fields = set(values["batch_fields"]) & set(self.chosen_model.parameters_by_name)
        return values | {"batch_fields": sorted(batch_fields) or [self.chosen_model.batch_field]}

    def show_errors(self, errors: Iterable[FieldError]) -> None:
        """Put each error of a config beside its field, or above the form.

        A field's own error comes first.
        """
        for error in errors:
            name = error.field
            if name.startswith("config.batch_fields"):
                name = "batch_fields"
            elif name.startswith("config.params."):
                name = PARAMETER + name.removeprefix("config.params.")
            name = name.removeprefix("config.")
            if name not in self.errors:
                self.add_error(name if name in self.fields else None, error.message)


def values_of(template: MissionTemplate) -> dict[str, Any]:
    """Return the values of a stored template for its form, without those that cannot be read."""
    config = template.config if isinstance(template.config, dict) else {}
    params = config.get("params")
    values = (
        {PARAMETER + str(name): as_typed(value) for name, value in params.items()} if isinstance(params, dict) else {}
    )
    values |= {"name": template.name, "description": template.description, "model": str(config.get("model") or "")}
    return values | ({"batch_fields": config["batch_fields"]} if config.get("batch_fields") else {})


def references_in(values: Mapping[str, Any] | QueryDict) -> set[int]:
    """Return the ids of the uploaded images that a form's values name."""
    lists = values.lists() if isinstance(values, QueryDict) else values.items()
    params = [value for name, value in lists if name.startswith(PARAMETER)]
    texts = [str(text) for value in params for text in (value if isinstance(value, list) else [value])]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return {int(match[1]) for line in lines if (match := _REFERENCE.fullmatch(line))}
