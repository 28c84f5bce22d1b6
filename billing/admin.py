from django.contrib import admin

from accounts.admin import LimitedUserAdmin
from billing.models import SpendingLimit


@admin.register(SpendingLimit)
class SpendingLimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """All spending limits in one list."""

    list_display = ["user", "amount", "currency", "period"]
    list_select_related = ["user"]
    autocomplete_fields = ["user"]
    search_fields = ["user__username"]


class SpendingLimitInline(admin.StackedInline):  # type: ignore[type-arg]
    model = SpendingLimit


# A person's own limit is also on their page.
LimitedUserAdmin.inlines = [*LimitedUserAdmin.inlines, SpendingLimitInline]
