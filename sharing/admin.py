"""Admin of share links."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import DetailAdmin, column
from sharing.models import Pick, ShareLink


@admin.register(ShareLink)
class ShareLinkAdmin(DetailAdmin):
    """The list of links, without their secret addresses.

    A link is withdrawn on the page of its mission.
    """

    list_display = [
        column("title", _("title")),
        column("mission_id", _("mission")),
        column("creator", _("created by")),
        column("created_at", _("created")),
        column("expires_at", _("expires")),
        column("withdrawn_at", _("withdrawn")),
        column("opened_count", _("openings")),
    ]
    list_select_related = ["creator"]
    search_fields = ["title", "creator__username"]
    search_help_text = _("Title or person")
    sortable_by = ()
    ordering = ("-pk",)
    facts = [
        ("title", _("Title")),
        ("message", _("Message")),
        ("mission", _("Mission")),
        ("creator", _("Created by")),
        ("created_at", _("Created")),
        ("expires_at", _("Expires")),
        ("withdrawn_at", _("Withdrawn")),
        ("opened_count", _("Openings")),
        ("last_opened_at", _("Last opened")),
        ("allows_download", _("Viewers can download files")),
        ("allows_picks", _("Viewers can star results")),
        ("shows_prompts", _("Viewers can see prompts")),
    ]


@admin.register(Pick)
class PickAdmin(DetailAdmin):
    """The results that viewers starred."""

    list_display = [
        column("link", _("share link")),
        column("item_id", _("item")),
        column("created_at", _("marked")),
        column("adds_star", _("brought the star")),
    ]
    list_select_related = ["link"]
    sortable_by = ()
    ordering = ("-pk",)
    facts = [
        ("link", _("Share link")),
        ("item", _("Item")),
        ("created_at", _("Marked")),
        ("adds_star", _("Brought the star")),
    ]
