"""What a provider tells us unasked.

The path is unguessable and names the attempt.  The body is a hint and nothing that it claims is believed: it makes the attempt
due now, or names the remote task of an attempt whose answer was lost, which the provider is then asked to confirm.
"""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from missions import queue
from missions.models import Attempt, AttemptStatus
from missions.providers.registry import PROVIDERS

LOST = (AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED)
MAX_BODY_BYTES = 1024 * 1024


@csrf_exempt
@require_POST
def receive(request: HttpRequest, provider: str, token: str) -> HttpResponse:
    """Answer at once; the work is done by a worker."""
    attempt = Attempt.objects.filter(webhook_token=token).only("pk", "status", "account").first()
    if attempt is None or provider not in PROVIDERS:
        return HttpResponse(status=404)
    if len(request.body) > MAX_BODY_BYTES:
        return HttpResponse(status=413)
    if attempt.status == AttemptStatus.RUNNING:
        _make_due(attempt)
    elif attempt.status in LOST:
        try:
            remote_task_id = PROVIDERS[provider].parse_webhook(request.body)
        except ValueError:
            return HttpResponse(status=400)
        with transaction.atomic():
            Attempt.objects.filter(pk=attempt.pk, status__in=LOST).update(hinted_task_id=remote_task_id)
            queue.send("rescue", attempt.pk)
    return HttpResponse(status=204)


def _make_due(attempt: Attempt) -> None:
    """Let a worker ask about the attempt now.  Where others are due already, the worker that is on its way to them suffices."""
    now = timezone.now()
    running = Attempt.objects.filter(account_id=attempt.account_id, status=AttemptStatus.RUNNING)
    with transaction.atomic():
        is_worker_coming = running.filter(next_poll_at__lte=now).exists()
        running.filter(pk=attempt.pk).update(next_poll_at=now)
        if not is_worker_coming:
            queue.send("poll_due", attempt.account_id)
