"""The form that retries one item with other parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from providers.catalog import Model
from providers.parameter_fields import PARAMETER, as_typed, is_always_sent, parameter_field, wire_value


class ItemParametersForm(forms.Form):
    """All parameters of one item.  What is left empty is not sent; the catalogue checks the values."""

    def __init__(self, model: Model, values: Mapping[str, Any], data: Any = None) -> None:
        self.model = model
        usual = {field.name: field.default for field in model.parameters if is_always_sent(field)}
        super().__init__(
            data, initial={PARAMETER + name: as_typed(value) for name, value in {**usual, **values}.items()}
        )
        self.fields.update({PARAMETER + field.name: parameter_field(field) for field in model.parameters})

    def changed_params(self) -> dict[str, Any]:
        """The parameters that differ from what they were, as the services take them."""
        before, now = self.initial, self.cleaned_data
        pairs = {
            field.name: [wire_value(field, values.get(PARAMETER + field.name, "")) for values in (before, now)]
            for field in self.model.parameters
        }
        return {name: new for name, (old, new) in pairs.items() if new != old}

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Put each message beside its parameter, or above the form."""
        for name, message in errors.items():
            self.add_error(PARAMETER + name if PARAMETER + name in self.fields else None, message)
