"""Admin of people, their preferences and their API tokens."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import services
from accounts.models import ApiToken, Profile
from core.admin.readonly import column
from core.reasons import define

REVOKED = define("token_revoked", "Revoked in the administration.")


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Tokens.  The secret of a new one is shown once, in the message after saving."""

    list_display = [
        column("name", gettext_lazy("name"), is_sortable=True),
        column("prefix", gettext_lazy("starts with"), is_sortable=True),
        column("user", gettext_lazy("person"), is_sortable=True),
        column("created_at", gettext_lazy("created"), is_sortable=True),
        column("last_used_at", gettext_lazy("last used"), is_sortable=True),
        column("expires_at", gettext_lazy("expires"), is_sortable=True),
        column("revoked_at", gettext_lazy("revoked"), is_sortable=True),
    ]
    search_fields = ["name", "prefix", "user__username"]
    list_select_related = ["user"]
    autocomplete_fields = ["user"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        fields = ["user", "name", "expires_at"]
        return fields if obj is None else [*fields, "prefix", "created_at", "last_used_at", "revoked_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return [] if obj is None else ["user", "prefix", "created_at", "last_used_at", "revoked_at"]

    def get_form(self, request: HttpRequest, obj: ApiToken | None = None, change: bool = False, **options: Any) -> Any:
        labels = {"user": _("Person"), "name": _("Name"), "expires_at": _("Expires")}
        return super().get_form(request, obj, change, labels=labels, **options)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Let only superusers create tokens for others: a token has its user's permissions."""
        if db_field.name == "user" and not request.user.is_superuser:
            options["queryset"] = User.objects.filter(username=request.user.get_username())
        return super().formfield_for_foreignkey(db_field, request, **options)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        token, secret = services.create_token(user=obj.user, name=obj.name, expires_at=obj.expires_at)
        obj.pk = token.pk
        obj.refresh_from_db()
        messages.warning(request, _("The token, shown only now: %(secret)s") % {"secret": secret})

    @admin.action(description=gettext_lazy("Revoke the selected tokens"), permissions=["change"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        for token in tokens:
            services.revoke_token(token=token)
            self.log_change(request, token, REVOKED.code)
        messages.success(request, _("Tokens revoked."))


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Preferences of people."""

    list_display = [column("user", gettext_lazy("person"), is_sortable=True), "language", "time_zone", "theme"]
    list_select_related = ["user"]
    autocomplete_fields = ["user"]
    search_fields = ["user__username"]


admin.site.unregister(User)


@admin.register(User)
class LimitedUserAdmin(UserAdmin):  # type: ignore[type-arg]
    """Django's user admin, with limits for operators who are not superusers.

    They cannot grant permissions, and cannot edit superusers, whose password would make them one.
    """

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        rights = [] if request.user.is_superuser else ["is_superuser", "groups", "user_permissions"]
        return [*super().get_readonly_fields(request, obj), *rights]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_edit(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_edit(request, obj)


def _may_edit(request: HttpRequest, person: User | None) -> bool:
    return person is None or request.user.is_superuser or not person.is_superuser
