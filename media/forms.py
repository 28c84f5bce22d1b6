"""Forms of the media library."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class MediaFilterForm(forms.Form):
    """The library's filter, read from the URL."""

    search = forms.CharField(required=False, max_length=200, label=_("Search"))

    def filters(self) -> dict[str, str]:
        """Return the arguments for ``media.selectors.find_media``; a bad value counts as none."""
        self.is_valid()
        return {"search": self.cleaned_data.get("search", "")}


class SelectionForm(forms.Form):
    """The selected images, by id."""

    images = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        # Only the form of an id is checked here; the view filters by owner.
        self.fields["images"].valid_value = lambda value: value.isdecimal() and len(value) < 19  # type: ignore[attr-defined]

    def ids(self) -> list[int]:
        """Return the selected ids; none when a value is not an id."""
        return self.cleaned_data["images"] if self.is_valid() else []
