"""``/admin/models/``: the whole catalogue. Below it, the models that people added."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from providers import added_models, catalog
from providers.adapters.registry import PROVIDERS
from providers.catalog.labels import parameter_label
from providers.catalog.task_types import TaskType
from providers.models import ProviderModel


@require_safe
def show_models(request: HttpRequest) -> HttpResponse:
    """Show every model by task type, with its endpoint, its price and its parameters."""
    shared = ProviderModel.objects.current().filter(is_shared=True, is_enabled=True)
    models = [*catalog.all_models(), *catalog.models_of_rows(shared)]
    groups = []
    for task_type in TaskType:
        default = catalog.find_default(task_type)
        entries = [
            {
                "model": model,
                "price": model.price_text,
                "is_default": default is not None and model.key == default.key,
                "parameters": [(parameter, parameter_label(parameter.name)) for parameter in model.parameters],
            }
            for model in models
            if model.task_type == task_type
        ]
        if entries:
            groups.append((task_type, entries))
    context = admin.site.each_context(request) | {"title": _("Models"), "groups": groups}
    return TemplateResponse(request, "admin/providers/models.html", context)


class ProviderModelForm(forms.ModelForm):  # type: ignore[type-arg]
    """A model that a person added. The catalogue checks its definition."""

    provider = forms.ChoiceField(label=gettext_lazy("Provider"))

    class Meta:
        model = ProviderModel
        fields = ["owner", "provider", "endpoint", "name", "definition", "is_shared", "is_enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "provider" in self.fields:
            self.fields["provider"].choices = [(name, name) for name in PROVIDERS]  # type: ignore[attr-defined]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        for error in added_models.model_errors(self.instance, is_operator=True):
            field = error.field.partition(".")[0]
            message = f"{error.field}: {error.message}" if "." in error.field else error.message
            self.add_error(field if field in self.fields else None, message)
        if {"definition", "is_shared"} & set(self.changed_data) and added_models.is_used(self.instance):
            self.add_error(None, added_models.in_use_message())


@admin.register(ProviderModel)
class ProviderModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Models that people added. A removed one stays as a row for the missions that used it."""

    form = ProviderModelForm
    list_display = ["name", "provider", "endpoint", "owner", "is_shared", "is_enabled", "updated_at"]
    list_filter = ["provider", "is_shared", "is_enabled"]
    search_fields = ["name", "endpoint", "owner__username"]
    list_select_related = ["owner"]
    autocomplete_fields = ["owner"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderModel]:
        return ProviderModel.objects.current()

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderModel | None = None) -> list[str]:
        return ["provider", "endpoint", "owner"] if obj else []

    def delete_model(self, request: HttpRequest, obj: ProviderModel) -> None:
        added_models.remove_model(model=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ProviderModel]) -> None:
        for row in queryset:
            added_models.remove_model(model=row)
