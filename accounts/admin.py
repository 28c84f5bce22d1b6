"""Admin of people, their preferences and their API tokens."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import people, services
from accounts.audit import services as audit
from accounts.audit.models import Verb
from accounts.forms import AdminSignInForm
from accounts.models import ApiToken, Profile, Scope
from core.admin.readonly import ListAdmin, column, titled
from core.reasons import define

admin.site.login_form = AdminSignInForm


class ApiTokenForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Permissions"),
        choices=Scope.choices,
        initial=Scope.values,
        widget=forms.CheckboxSelectMultiple,
        required=False,  # not on the page of an existing token
    )

    class Meta:
        model = ApiToken
        fields = ("user", "name", "expires_at")

    def clean_scopes(self) -> list[str]:
        scopes: list[str] = self.cleaned_data["scopes"]
        if self.instance.pk is None and not scopes:
            raise forms.ValidationError(_("Choose at least one thing that the token may do."))
        return scopes


REVOKED = define("token_revoked", "Revoked in the administration.")


class EndedFilter(admin.SimpleListFilter):
    """Tokens that can be used, and those that have expired or were revoked."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("usable", gettext_lazy("usable")), ("ended", gettext_lazy("expired or revoked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        usable = ApiToken.objects.usable()
        if self.value() == "usable":
            return queryset.filter(pk__in=usable.values("pk"))
        return queryset.exclude(pk__in=usable.values("pk")) if self.value() == "ended" else queryset


@admin.register(ApiToken)
class ApiTokenAdmin(ListAdmin):
    """Tokens.  The secret of a new one is shown once, in the message after saving."""

    form = ApiTokenForm
    list_display = [
        column("name", gettext_lazy("name"), is_sortable=True),
        column("prefix", gettext_lazy("starts with"), is_sortable=True),
        column("user", gettext_lazy("person"), is_sortable=True),
        "shown_scopes",
        column("created_at", gettext_lazy("created"), is_sortable=True),
        column("last_used_at", gettext_lazy("last used"), is_sortable=True),
        column("expires_at", gettext_lazy("expires"), is_sortable=True),
        column("revoked_at", gettext_lazy("revoked"), is_sortable=True),
    ]
    list_filter = [EndedFilter, ("user", titled(admin.RelatedOnlyFieldListFilter, gettext_lazy("person")))]
    search_fields = ["name", "prefix", "user__username"]
    list_select_related = ["user"]
    autocomplete_fields = ["user"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        fields = ["user", "name", "expires_at"]
        if obj is None:
            return [*fields, "scopes"]
        return [*fields, "shown_scopes", "prefix", "created_at", "last_used_at", "revoked_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return [] if obj is None else ["user", "shown_scopes", "prefix", "created_at", "last_used_at", "revoked_at"]

    def get_form(self, request: HttpRequest, obj: ApiToken | None = None, change: bool = False, **options: Any) -> Any:
        labels = {"user": _("Person"), "name": _("Name"), "expires_at": _("Expires")}
        return super().get_form(request, obj, change, labels=labels, **options)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Let only superusers create tokens for others: a token has its user's permissions."""
        if db_field.name == "user" and not request.user.is_superuser:
            options["queryset"] = User.objects.filter(username=request.user.get_username())
        return super().formfield_for_foreignkey(db_field, request, **options)

    @admin.display(description=gettext_lazy("may"))
    def shown_scopes(self, token: ApiToken) -> str:
        return ", ".join(token.scope_labels)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        token, secret = services.create_token(
            user=obj.user, name=obj.name, expires_at=obj.expires_at, scopes=form.cleaned_data["scopes"]
        )
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
class LimitedUserAdmin(ListAdmin, UserAdmin):  # type: ignore[type-arg]
    """Django's user admin, with limits for operators who are not superusers.

    They cannot grant permissions, and cannot edit superusers, whose password would make them one.
    """

    list_display = ["username", "email", "is_active", "is_staff", "last_login", "facts"]
    list_filter = ["is_active", "is_staff", "is_superuser", "groups", "last_login"]
    actions = ["deactivate"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        rights = [] if request.user.is_superuser else ["is_superuser", "groups", "user_permissions"]
        return [*super().get_readonly_fields(request, obj), *rights]

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        if obj is not None and "is_active" in form.base_fields:
            form.base_fields["is_active"].help_text = _(
                "If you clear this, %(name)s is signed out, their tokens stop working, and their missions are paused at "
                "once: nothing more is sent. Items that the provider has already accepted finish and are paid. Clear it "
                "instead of deleting a person."
            ) % {"name": escape(obj.get_username())}  # Django shows help texts as HTML
        return form

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_edit(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_edit(request, obj)

    @admin.display(description=gettext_lazy("missions and spending"))
    def facts(self, person: User) -> str:
        return " · ".join(people.facts_of(person))

    # --- Changes ---

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            audit.record(Verb.PERSON_CREATE, obj)
            return
        if "is_active" in form.changed_data:
            stopped = people.set_active(obj, obj.is_active)
            _report(request, obj, stopped)
        if names := [name for name in form.changed_data if name != "is_active"]:
            audit.record(Verb.PERSON_CHANGE, obj, changed=names)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        response: HttpResponse = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            audit.record(Verb.PERSON_PASSWORD, self.get_object(request, unquote(id)))
        return response

    @admin.action(description=gettext_lazy("Make inactive: sign out, stop tokens and missions"), permissions=["change"])
    def deactivate(self, request: HttpRequest, persons: QuerySet[User]) -> None:
        for person in persons.exclude(username=request.user.get_username()).filter(is_active=True):
            if _may_edit(request, person):
                _report(request, person, people.set_active(person, False))

    # --- Deletion ---

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what Django's page of deletion shows, from a few counts.

        Django would load every row that refers to the person.
        """
        persons = list(objs)
        to_delete: list[Any] = []
        for person in persons:
            to_delete += [str(person), people.belongings_of(person)]
        protected = [reason for person in persons if (reason := people.blocked_reason(person))]
        counts = {User._meta.verbose_name_plural: len(persons)}
        return to_delete, counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        people.delete_person(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            if _may_edit(request, person):
                people.delete_person(person)


def _report(request: HttpRequest, person: User, paused_count: int) -> None:
    """Show what making a person inactive has stopped."""
    if person.is_active:
        messages.success(request, _("%s is active again. Resume their missions where they should go on.") % person)
        return
    text = ngettext(
        "%(name)s is inactive. %(count)d mission was paused; nothing more of it is sent.",
        "%(name)s is inactive. %(count)d missions were paused; nothing more of them is sent.",
        paused_count,
    )
    messages.success(request, text % {"name": person, "count": paused_count})


def _may_edit(request: HttpRequest, person: User | None) -> bool:
    return person is None or request.user.is_superuser or not person.is_superuser
