"""Admin of channels and deliveries. No secret is shown."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from core.admin.readonly import DetailAdmin, badge, choices, column
from core.errors import DomainError
from notifications import channels
from notifications.models import Channel, ChannelKind, Delivery


@admin.register(Channel)
class ChannelAdmin(DetailAdmin):
    list_display = [
        "__str__",
        column("owner", _("owner")),
        "shown_kind",
        column("shown_address", _("address")),
        column("is_enabled", _("enabled")),
        column("failing_since", _("failing since")),
        column("succeeded_at", _("last delivery")),
    ]
    facts = [
        ("owner", _("Owner")),
        ("get_kind_display", _("Kind")),
        ("name", _("Name")),
        ("shown_address", _("Address")),
        ("events", _("Events")),
        ("is_enabled", _("Enabled")),
        ("given_up_at", _("Given up")),
        ("failing_since", _("Failing since")),
        ("succeeded_at", _("Last delivery")),
        ("created_at", _("Created")),
    ]
    list_filter = [choices("kind", _("kind"), ChannelKind)]
    search_fields = ["name", "shown_address", "owner__username"]
    search_help_text = _("Name, host or owner")
    list_select_related = ["owner"]
    actions = ["switch_on", "switch_off"]

    @admin.display(description=_("kind"))
    def shown_kind(self, channel: Channel) -> str:
        return channel.get_kind_display()

    @admin.action(description=_("Switch on"), permissions=["act"])
    def switch_on(self, request: HttpRequest, rows: QuerySet[Channel]) -> None:
        self._switch(request, rows, True)

    @admin.action(description=_("Switch off"), permissions=["act"])
    def switch_off(self, request: HttpRequest, rows: QuerySet[Channel]) -> None:
        self._switch(request, rows, False)

    def _switch(self, request: HttpRequest, rows: QuerySet[Channel], is_enabled: bool) -> None:
        for channel in rows:
            channels.update(channel=channel, is_enabled=is_enabled)
        count = len(rows)
        text = ngettext("%d channel was changed.", "%d channels were changed.", count) % count
        self.message_user(request, text, messages.SUCCESS)


@admin.register(Delivery)
class DeliveryAdmin(DetailAdmin):
    ordering = ("-pk",)
    sortable_by = ()
    list_display = [
        "message_id",
        column("channel", _("channel")),
        column("type", _("event")),
        "shown_state",
        column("try_count", _("tries")),
        column("created_at", _("created")),
        column("next_try_at", _("next try")),
    ]
    facts = [
        ("message_id", _("Message")),
        ("channel", _("Channel")),
        ("type", _("Event")),
        ("get_state_display", _("State")),
        ("payload", _("Content")),
        ("tries", _("Tries")),
        ("next_try_at", _("Next try")),
        ("created_at", _("Created")),
        ("ended_at", _("Ended")),
    ]
    list_select_related = ["channel"]
    actions = ["replay"]

    @admin.display(description=_("state"))
    def shown_state(self, delivery: Delivery) -> str:
        return badge(delivery.state, "delivery")

    @admin.action(description=_("Send again"), permissions=["act"])
    def replay(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        count = 0
        for delivery in rows:
            try:
                channels.replay(delivery=delivery)
                count += 1
            except DomainError as error:
                self.message_user(request, f"{delivery}: {error}", messages.WARNING)
        if count:
            text = ngettext("%d message is sent again.", "%d messages are sent again.", count) % count
            self.message_user(request, text, messages.SUCCESS)
