"""``/webhooks``: addresses of programs that are told of events, by Standard Webhooks."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Path, Query, Router, Status

from core.api.idempotency import Claim
from core.api.ids import RowId
from core.api.openapi import refusals
from core.api.pagination import PAGE_RULES, PageIn, page_of
from notifications import channels
from notifications.models import Channel, ChannelKind, Delivery
from notifications.schemas import (
    DeliveryFilterIn,
    DeliveryOut,
    DeliveryPage,
    NewWebhookOut,
    WebhookChangeIn,
    WebhookIn,
    WebhookOut,
    WebhookPage,
)

router = Router(tags=["Webhooks"])
RULES = refusals(url="It is not an https address of a host, or it contains a name or a password.")


@router.get("", response=WebhookPage, summary="List my webhooks", openapi_extra={"responses": refusals(**PAGE_RULES)})
def list_webhooks(request: HttpRequest, paging: Query[PageIn]) -> dict[str, Any]:
    return page_of(_mine(request).order_by("created_at", "pk"), paging, stable=["created_at"])


@router.post(
    "",
    response={201: NewWebhookOut},
    summary="Add a webhook; its secret is shown only now",
    openapi_extra={"responses": RULES},
)
def create_webhook(request: HttpRequest, payload: WebhookIn) -> Status[NewWebhookOut]:
    """Messages follow [Standard Webhooks](https://www.standardwebhooks.com).

    Each is sent at least once: tell repeats by `webhook-id`. Answer 2xx within 10 seconds. After
    another answer, or none, it is sent again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h.
    Redirects are not followed.
    """
    with transaction.atomic():
        channel, secret = channels.create(
            owner=cast(User, request.user),
            kind=ChannelKind.WEBHOOK,
            address=payload.url,
            events=payload.events,
            name=payload.name,
        )
        return Status(201, _with_secret(request, 201, channel, secret))


@router.get("/{webhook_id}", response=WebhookOut, summary="Show a webhook")
def show_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Channel:
    return get_object_or_404(_mine(request), pk=webhook_id)


@router.patch("/{webhook_id}", response=WebhookOut, summary="Change a webhook", openapi_extra={"responses": RULES})
def change_webhook(request: HttpRequest, webhook_id: Path[RowId], payload: WebhookChangeIn) -> Channel:
    values = payload.dict(exclude_unset=True)
    if "url" in values:
        values["address"] = values.pop("url")
    return channels.update(channel=get_object_or_404(_mine(request), pk=webhook_id), **values)


@router.delete("/{webhook_id}", response={204: None}, summary="Delete a webhook and its log")
def delete_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Status[None]:
    channels.delete(channel=get_object_or_404(_mine(request), pk=webhook_id))
    return Status(204, None)


@router.post("/{webhook_id}/secret", response=NewWebhookOut, summary="Give a webhook a new secret")
def rotate_secret(request: HttpRequest, webhook_id: Path[RowId]) -> NewWebhookOut:
    """Messages are signed with both secrets for 24 hours, so that none is refused meanwhile."""
    with transaction.atomic():
        channel = get_object_or_404(_mine(request), pk=webhook_id)
        secret = channels.rotate_secret(channel=channel)
        channel.refresh_from_db()
        return _with_secret(request, 200, channel, secret)


@router.post("/{webhook_id}/test", response={202: DeliveryOut}, summary="Send a test message")
def test_webhook(request: HttpRequest, webhook_id: Path[RowId]) -> Status[Delivery]:
    """A worker sends it, once. Its answer is then in the log of deliveries."""
    channel = get_object_or_404(_mine(request), pk=webhook_id)
    return Status(202, channels.send_test(channel=channel))


@router.get(
    "/{webhook_id}/deliveries",
    response=DeliveryPage,
    summary="List the deliveries of a webhook, newest first",
    openapi_extra={"responses": refusals(**PAGE_RULES)},
)
def list_deliveries(request: HttpRequest, webhook_id: Path[RowId], filters: Query[DeliveryFilterIn]) -> dict[str, Any]:
    rows = get_object_or_404(_mine(request), pk=webhook_id).deliveries.order_by("-created_at", "-pk")
    if filters.state:
        rows = rows.filter(state=filters.state)
    return page_of(rows, filters, stable=["created_at"])


@router.get("/{webhook_id}/deliveries/{delivery_id}", response=DeliveryOut, summary="Show a delivery")
def show_delivery(request: HttpRequest, webhook_id: Path[RowId], delivery_id: Path[RowId]) -> Delivery:
    return _delivery(request, webhook_id, delivery_id)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay", response={202: DeliveryOut}, summary="Send a message once more"
)
def replay_delivery(request: HttpRequest, webhook_id: Path[RowId], delivery_id: Path[RowId]) -> Status[Delivery]:
    """Send the same `webhook-id` and body, with a new timestamp and signature."""
    return Status(202, channels.replay(delivery=_delivery(request, webhook_id, delivery_id)))


def _mine(request: HttpRequest) -> QuerySet[Channel]:
    return Channel.objects.filter(owner=cast(User, request.user), kind=ChannelKind.WEBHOOK)


def _delivery(request: HttpRequest, webhook_id: int, delivery_id: int) -> Delivery:
    return get_object_or_404(Delivery, pk=delivery_id, channel=get_object_or_404(_mine(request), pk=webhook_id))


def _with_secret(request: HttpRequest, status: int, channel: Channel, secret: str) -> NewWebhookOut:
    """Return a webhook with its new secret; a repeat of the request gets it without."""
    claim: Claim | None = request.idempotency  # type: ignore[attr-defined]
    data = WebhookOut.from_orm(channel).dict()
    if claim:
        claim.remember(status, NewWebhookOut(**data, secret=None))
    return NewWebhookOut(**data, secret=secret)
