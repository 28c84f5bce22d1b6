"""Error pages, and the page of all components."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

from django import forms
from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django.views.defaults import page_not_found

from core.api import errors
from core.errors import DomainError
from core.http.middleware import BELOW_API
from core.logging import request_ids
from core.ui.themes import theme_of
from missions.models import ItemStatus, MissionStatus

SECRET_FIELD = re.compile(r"password|secret|api_key|^key$", re.IGNORECASE)


class SampleForm(forms.Form):
    """One control of each kind, for the page of components."""

    name = forms.CharField(label="Name", help_text="Shown in the list of missions.")
    prompt = forms.CharField(label="Prompts", widget=forms.Textarea(attrs={"rows": 3}), required=False)
    ratio = forms.ChoiceField(label="Aspect ratio", choices=[("1:1", "1:1"), ("16:9", "16:9")])
    count = forms.IntegerField(label="Repeat", min_value=1, max_value=20)
    start = forms.BooleanField(label="Start at once", required=False, help_text="Otherwise it waits for you.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponseNotFound() if _is_api(request) else page_not_found(request, exception)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that nothing was done, and offer to send the form again if it came from our own page.

    The usual cause is a sign-in in another tab. Scripts get the API's error ``csrf_failed``. What
    another site sent is never offered again: a form of ours has our address in ``Origin``, and
    Django has refused any other. Secrets and files are not put into a page.
    """
    if _is_api(request) or "X-Signed-In-As" in request.headers:
        message = _("This page is older than your last sign-in. Nothing was done. Try again.")
        return errors.respond(DomainError(message, status=403, error="csrf_failed"))
    here = f"{request.scheme}://{request.get_host()}"
    is_ours = request.headers.get("Origin") in {here, *settings.CSRF_TRUSTED_ORIGINS}
    is_offered = (
        request.method == "POST"
        and is_ours
        and request.user.is_authenticated
        and not request.FILES
        and not any(SECRET_FIELD.search(name) for name in request.POST)
    )
    fields = [(name, value) for name, values in request.POST.lists() for value in values] if is_offered else []
    context = {
        "is_offered": is_offered,
        "has_files": is_ours and bool(request.FILES),
        "fields": [(name, value) for name, value in fields if name != "csrfmiddlewaretoken"],
        "address": request.get_full_path(),
    }
    response = render(request, "403_csrf.html", context, status=403)
    response["Cache-Control"] = "no-store"
    return response


def _is_api(request: HttpRequest) -> bool:
    """Return True for the API: ``request_boundary`` formats its errors, so no page is rendered."""
    return request.path_info.startswith(BELOW_API)


def server_error(request: HttpRequest) -> HttpResponse:
    """Render the page for an unexpected error without a query: the database may be the cause."""
    context = {
        "theme": theme_of(request),
        "request_id": request_ids.current(),
        "LANGUAGE_CODE": get_language(),
    }
    return HttpResponse(render_to_string("500.html", context), status=500)


@require_safe
@staff_member_required
def components(request: HttpRequest) -> HttpResponse:
    """Show every component in every variant, for developers and for the tests of contrast."""
    now = timezone.now()
    counts = dict.fromkeys(ItemStatus.values, 0)
    running = counts | {
        "completed": 148,
        "failed": 6,
        "processing": 50,
        "submitting": 4,
        "pending": 29,
        "unconfirmed": 3,
    }
    context = {
        "form": SampleForm(
            {"name": "", "ratio": "1:1", "count": "200", "prompt": "a lighthouse at dusk\na paper boat"}
        ),
        "mission_statuses": MissionStatus.values,
        "item_statuses": ItemStatus.values,
        "running": running,
        "empty": counts,
        "page": Paginator(range(1234), 50).page(3),
        "amounts": [Decimal("12"), Decimal("0.05"), Decimal("1234.5678"), None],
        "seconds": [0.42, 42, 200, 7500, 273_600, None],
        "moments": [now - timedelta(seconds=age) for age in (5, 300, 7300, 200_000, 9_000_000)],
        "bars": [
            {"text": f"{n}", "parts": [("completed", (n * 7) % 13), ("failed", n % 5 // 4)]} for n in range(1, 31)
        ],
        "tab_entries": [
            {"url": "?tab=results", "text": "Results", "count": 148, "is_current": True},
            {"url": "?tab=items", "text": "Items", "count": 240},
            {"url": "?tab=failures", "text": "Failures", "count": 6},
            {"url": "?tab=settings", "text": "Settings"},
        ],
    }
    return render(request, "components.html", context)
