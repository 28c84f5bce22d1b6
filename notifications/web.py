"""The pages of a person's channels."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import DomainError
from notifications import channels
from notifications import messages as texts
from notifications.channels import ChannelInvalid
from notifications.delivery import LEASE
from notifications.forms import ChannelForm
from notifications.models import Channel, ChannelKind, Delivery

PAGE_SIZE = 20


@login_required
@require_safe
def show_list(request: HttpRequest) -> HttpResponse:
    """Show the person's channels, and buttons for new ones."""
    rows = Channel.objects.filter(owner=_user(request))
    labels = {kind: dict(channels.choices_of(kind).choices) for kind in ChannelKind}
    context = {
        "channels": [
            {"row": row, "events": [labels[ChannelKind(row.kind)].get(event, event) for event in row.events]}
            for row in rows
        ],
        "kinds": channels.offered_kinds(),
    }
    return render(request, "notifications/list.html", context)


@never_cache
@sensitive_post_parameters("address", "secret")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Show the form of a new channel, and add it. The secret of a webhook is shown once."""
    kind = request.GET.get("kind", "")
    if kind not in channels.offered_kinds():
        return redirect("notifications:list")
    email = _user(request).email if kind == ChannelKind.EMAIL else ""
    form = ChannelForm(kind, request.POST or None, initial_address=email)
    if form.is_valid():
        try:
            channel, secret = channels.create(owner=_user(request), kind=kind, **form.values(is_new=True))
        except ChannelInvalid as invalid:
            form.show_errors(invalid)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            if secret:
                return render(request, "notifications/secret.html", {"channel": channel, "secret": secret})
            messages.success(request, _("Saved. Send a test to see if it arrives."))
            return redirect("notifications:channel", channel.pk)
    context = {"form": form, "kind": ChannelKind(kind)}
    return render(request, "notifications/new.html", context, status=422 if form.is_bound else 200)


@never_cache
@sensitive_post_parameters("address", "secret")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def show_channel(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Show a channel with its settings and the log of its deliveries; save the settings."""
    channel = _channel(request, channel_id)
    form = ChannelForm(channel.kind, request.POST or None, channel=channel)
    if form.is_valid():
        try:
            channels.update(channel=channel, **form.values(is_new=False))
        except ChannelInvalid as invalid:
            form.show_errors(invalid)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("notifications:channel", channel.pk)
    page = Paginator(channel.deliveries.all(), PAGE_SIZE).get_page(request.GET.get("page"))
    now = timezone.now()
    context = {
        "channel": channel,
        "form": form,
        "page": page,
        "deliveries": [
            (row, texts.label_of(row.type), texts.shown_answer(row.last_try.get("answer", ""))) for row in page
        ],
        "is_sending": channel.is_enabled and any(row.next_try_at and row.next_try_at < now + LEASE for row in page),
        "now": now,
    }
    return render(request, "notifications/channel.html", context, status=422 if form.is_bound else 200)


@login_required
@require_POST
def test(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Let a worker send a test."""
    channel = _channel(request, channel_id)
    try:
        channels.send_test(channel=channel)
        messages.success(request, _("The test is being sent. The answer appears below."))
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("notifications:channel", channel.pk)


@login_required
@require_POST
def switch(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Switch a channel on or off."""
    channel = _channel(request, channel_id)
    channel = channels.update(channel=channel, is_enabled=request.POST.get("is_enabled") == "1")
    text = _("Switched on. What has waited is sent now.") if channel.is_enabled else _("Switched off.")
    messages.success(request, text)
    return redirect("notifications:channel", channel.pk)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rotate_secret(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Ask for confirmation, then show a new secret once."""
    channel = get_object_or_404(_mine(request), pk=channel_id, kind=ChannelKind.WEBHOOK)
    if request.method != "POST":
        return render(request, "notifications/rotate.html", {"channel": channel})
    try:
        secret = channels.rotate_secret(channel=channel)
    except DomainError as error:
        messages.error(request, str(error))
        return redirect("notifications:channel", channel.pk)
    return render(request, "notifications/secret.html", {"channel": channel, "secret": secret, "is_rotated": True})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Ask for confirmation, then delete."""
    channel = _channel(request, channel_id)
    if request.method != "POST":
        return render(request, "notifications/delete.html", {"channel": channel})
    channels.delete(channel=channel)
    messages.success(request, _("Deleted: %s") % channel)
    return redirect("notifications:list")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def show_delivery(request: HttpRequest, channel_id: int, delivery_id: int) -> HttpResponse:
    """Show a delivery with its tries; send it again at a POST."""
    channel = _channel(request, channel_id)
    delivery = get_object_or_404(Delivery, pk=delivery_id, channel=channel)
    if request.method == "POST":
        try:
            channels.replay(delivery=delivery)
            messages.success(request, _("It is sent again. The answer appears below."))
        except DomainError as error:
            messages.error(request, str(error))
        return redirect("notifications:channel", channel.pk)
    if channel.is_for_people:
        title, lines = texts.words(delivery, translation.get_language())
        content = "\n".join([title, *lines])
    else:
        content = json.dumps(delivery.payload, ensure_ascii=False, indent=2)
    context: dict[str, Any] = {
        "channel": channel,
        "delivery": delivery,
        "label": texts.label_of(delivery.type),
        "content": content,
        "tries": [
            {**entry, "at": datetime.fromisoformat(entry["at"]), "answer": texts.shown_answer(entry["answer"])}
            for entry in reversed(delivery.tries)
        ],
    }
    return render(request, "notifications/delivery.html", context)


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _mine(request: HttpRequest) -> Any:
    return Channel.objects.filter(owner=_user(request))


def _channel(request: HttpRequest, channel_id: int) -> Channel:
    return cast(Channel, get_object_or_404(_mine(request), pk=channel_id))
