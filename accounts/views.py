"""Sign in, sign out, and the pages of one's own account."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import lockout, preferences, services
from accounts.forms import AppearanceForm, PreferencesForm, SignInForm, TokenForm
from accounts.models import ApiToken, Profile
from accounts.services import TooManyTokens
from core.http.redirects import safe_next


class SignIn(auth_views.LoginView):
    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Add ``is_first``: ``make serve`` has created its user, and nobody has signed in yet."""
        has_signed_in = User.objects.filter(last_login__isnull=False)
        is_first = User.objects.filter(username="admin").exists() and not has_signed_in.exists()
        return super().get_context_data(is_first=is_first, **context)

    def form_valid(self, form: Any) -> HttpResponse:
        """Set the cookies for the person's preferences and for a browser that was used before."""
        response = super().form_valid(form)
        lockout.remember_browser(response, form.get_user().get_username())
        profile = Profile.objects.filter(user=form.get_user()).first()
        if profile:
            preferences.set_cookies(response, profile)
        return response


class SignOut(auth_views.LogoutView):
    http_method_names = ["post", "options"]


class ChangePassword(auth_views.PasswordChangeView):
    template_name = "accounts/password.html"
    success_url = reverse_lazy("accounts:account")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Password changed."))
        return super().form_valid(form)


@never_cache
@require_safe
def session(request: HttpRequest) -> JsonResponse:
    """Return who is signed in and a valid CSRF token, for the scripts of open pages.

    ``person`` is the id as a text, "" for nobody. The token belongs to this answer's person: the
    next sign-in makes it invalid.
    """
    is_known = request.user.is_authenticated
    person, name = (str(request.user.pk), request.user.get_username()) if is_known else ("", "")
    return JsonResponse({"person": person, "name": name, "csrf_token": get_token(request)})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show and save language, time zone and theme."""
    profile = _profile(request)
    values = {name: getattr(profile, name) for name in ("language", "time_zone", "theme")}
    form = PreferencesForm(request.POST or None, initial=values)
    if not form.is_valid():
        return render(request, "accounts/account.html", {"form": form}, status=422 if form.is_bound else 200)
    preferences.change(profile, **form.cleaned_data)
    with translation.override(profile.language or translation.get_language()):  # the language just chosen
        messages.success(request, _("Preferences saved."))
    response = redirect("accounts:account")
    preferences.set_cookies(response, profile)
    return response


@require_POST
def appearance(request: HttpRequest) -> HttpResponse:
    """Save one switch of the account menu and return to the page."""
    form = AppearanceForm(request.POST)
    profile = _profile(request)
    if form.is_valid():
        preferences.change(profile, **form.values())
    response = HttpResponseRedirect(safe_next(request))
    preferences.set_cookies(response, profile)
    return response


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """List the person's tokens and create new ones.

    A secret is shown in the response to the form and never again.
    """
    form = TokenForm(request.POST or None)
    new_token, secret = None, ""
    if form.is_valid():
        try:
            new_token, secret = services.create_own_token(
                user=_user(request),
                name=form.cleaned_data["name"],
                expires_at=form.expires_at(),
                made_with=None,
                scopes=form.cleaned_data["scopes"],
            )
        except TooManyTokens as error:
            form.add_error(None, str(error))
    context = {
        "form": TokenForm() if new_token else form,
        "new_token": new_token,
        "secret": secret,
        "tokens": ApiToken.objects.filter(user=_user(request), revoked_at=None),
        "now": timezone.now(),
    }
    return render(request, "accounts/tokens.html", context, status=422 if form.is_bound and not new_token else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """Ask for confirmation, or revoke.  The dialog of the list posts here directly."""
    token = get_object_or_404(ApiToken, pk=token_id, user=_user(request))
    if request.method != "POST":
        return render(request, "accounts/revoke_token.html", {"token": token})
    services.revoke_token(token=token)
    messages.success(request, _("Token “%(name)s” revoked.") % {"name": token.name})
    return redirect("accounts:tokens")


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _profile(request: HttpRequest) -> Profile:
    return cast(Profile, request.profile)  # type: ignore[attr-defined]
