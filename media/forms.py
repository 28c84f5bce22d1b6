"""Forms of the media library."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class MediaFilterForm(forms.Form):
    """The library's filter, as it stands in its address."""

    search = forms.CharField(required=False, max_length=200, label=_("Search"))

    def found(self) -> dict[str, str]:
        self.is_valid()
        return {"search": self.cleaned_data.get("search", "")}


class SelectionForm(forms.Form):
    """The images that are ticked, by id."""

    images = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        # Whose they are is asked later; here they only have to be ids.
        self.fields["images"].valid_value = lambda value: value.isdecimal() and len(value) < 19  # type: ignore[attr-defined]

    def ids(self) -> list[int]:
        return self.cleaned_data["images"] if self.is_valid() else []
