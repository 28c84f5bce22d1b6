"""Sign in and out, and what belongs to one's own account."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import preferences, services
from accounts.forms import AppearanceForm, PreferencesForm, TokenForm
from accounts.models import ApiToken, Profile
from accounts.services import TooManyTokens
from core.http.redirects import safe_next


class SignIn(auth_views.LoginView):
    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """The browser remembers how the person wants its pages, also when they have signed out."""
        response = super().form_valid(form)
        profile = Profile.objects.filter(user=form.get_user()).first()
        if profile:
            preferences.remember(response, profile)
        return response


class SignOut(auth_views.LogoutView):
    http_method_names = ["post", "options"]


class ChangePassword(auth_views.PasswordChangeView):
    template_name = "accounts/password.html"
    success_url = reverse_lazy("accounts:account")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Your password is changed."))
        return super().form_valid(form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Language, time zone and theme."""
    profile = _profile(request)
    wishes = {name: getattr(profile, name) for name in ("language", "time_zone", "theme")}
    form = PreferencesForm(request.POST or None, initial=wishes)
    if not form.is_valid():
        return render(request, "accounts/account.html", {"form": form}, status=422 if form.is_bound else 200)
    preferences.change(profile, **form.cleaned_data)
    _tell_saved(request, profile)
    response = redirect("accounts:account")
    preferences.remember(response, profile)
    return response


@require_POST
def appearance(request: HttpRequest) -> HttpResponse:
    """One of the switches in the menu; the person stays where they are."""
    form = AppearanceForm(request.POST)
    profile = _profile(request)
    if form.is_valid():
        preferences.change(profile, **form.wishes())
    response = HttpResponseRedirect(safe_next(request))
    preferences.remember(response, profile)
    return response


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The person's tokens.  A new one is shown in the answer to its form, because its secret is kept nowhere."""
    form = TokenForm(request.POST or None)
    made, secret = _make_token(request, form) if form.is_valid() else (None, "")
    known = ApiToken.objects.filter(user=_person(request))
    shown = {
        "form": TokenForm() if made else form,
        "made": made,
        "secret": secret,
        "tokens": known.filter(revoked_at=None),
        "revoked_count": known.exclude(revoked_at=None).count(),
        "now": timezone.now(),
    }
    return render(request, "accounts/tokens.html", shown, status=422 if form.is_bound and not made else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """Asks first; the list's dialog asks the same and comes here with POST."""
    token = get_object_or_404(ApiToken, pk=token_id, user=_person(request))
    if request.method != "POST":
        return render(request, "accounts/revoke_token.html", {"token": token})
    services.revoke_token(token=token)
    messages.success(request, _("The token “%(name)s” is revoked.") % {"name": token.name})
    return redirect("accounts:tokens")


def _make_token(request: HttpRequest, form: TokenForm) -> tuple[ApiToken | None, str]:
    try:
        return services.create_own_token(
            user=_person(request), name=form.cleaned_data["name"], expires_at=form.expires_at(), made_with=None
        )
    except TooManyTokens as error:
        form.add_error(None, str(error))
        return None, ""


def _tell_saved(request: HttpRequest, profile: Profile) -> None:
    """In the language that was just chosen."""
    with translation.override(profile.language or translation.get_language()):
        messages.success(request, _("Your preferences are saved."))


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)


def _profile(request: HttpRequest) -> Profile:
    return cast(Profile, request.profile)  # type: ignore[attr-defined]
