from django.contrib import admin

from accounts.admin import LimitedUserAdmin
from billing.models import SpendingLimit


@admin.register(SpendingLimit)
class SpendingLimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who may spend how much: all in one list.  A person's own is on their page, too."""

    list_display = ["user", "amount", "period"]
    list_select_related = ["user"]
    autocomplete_fields = ["user"]
    search_fields = ["user__username"]


class SpendingLimitInline(admin.StackedInline):  # type: ignore[type-arg]
    model = SpendingLimit


# A person's own limit is on their page, too.
LimitedUserAdmin.inlines = [*LimitedUserAdmin.inlines, SpendingLimitInline]
