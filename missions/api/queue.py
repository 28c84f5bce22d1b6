"""``/queue/status``: the load of the provider accounts."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from missions import account_load
from missions.api.schemas.queue import QueueOut

router = Router(tags=["Catalogue"])


@router.get("/status", response=QueueOut, summary="Show the load of the accounts")
def show_queue(request: HttpRequest) -> account_load.QueueStatus:
    """Anybody who may submit may see why items wait: limits, counts, and why an account is paused.

    Keys, URLs and the owners of other items are not shown here; operators see them in the admin.
    `balance` is as last read at the provider, null if it is unknown or the operator hides it. Two
    accounts may share one wallet: do not add their balances up.
    """
    assert isinstance(request.user, User)
    return account_load.queue_status(request.user, now=timezone.now())
