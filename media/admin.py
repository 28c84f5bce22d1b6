"""What people keep for their missions: templates and uploaded images.

Registered here and not in their own apps, because only missions know what uses them.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import PageAdmin, column, picture
from media.models import MediaFile
from missions import selectors, services

USES_SHOWN = 20


@admin.register(MediaFile)
class MediaFileAdmin(PageAdmin):
    page = "admin/media/media_file.html"
    list_display = [
        "shown_picture",
        "shown_name",
        column("owner", _("owner")),
        "shown_size",
        "dimensions",
        column("created_at", _("uploaded"), is_sortable=True),
    ]
    list_display_links = ["shown_name"]
    search_fields = ["name", "owner__username"]
    search_help_text = _("A name, or an owner.")
    list_select_related = ["owner"]
    ordering = ["-pk"]

    @admin.display(description=_("image"))
    def shown_picture(self, media: MediaFile) -> SafeString:
        return picture(reverse("media:preview", args=[media.key]))

    @admin.display(description=_("name"), ordering="name")
    def shown_name(self, media: MediaFile) -> SafeString:
        return format_html('<span class="admin-name">{}</span>', media.name)

    @admin.display(description=_("size"), ordering="size_bytes")
    def shown_size(self, media: MediaFile) -> SafeString:
        return format_html('<span class="nowrap figures">{}</span>', filesizeformat(media.size_bytes))

    @admin.display(description=_("dimensions"))
    def dimensions(self, media: MediaFile) -> SafeString:
        return format_html('<span class="nowrap figures">{} × {}</span>', media.width, media.height)

    def page_context(self, request: HttpRequest, row: MediaFile) -> dict[str, Any]:
        uses = selectors.missions_naming(row, limit=USES_SHOWN + 1)
        return {
            "media": row,
            "uses": uses[:USES_SHOWN],
            "has_more_uses": len(uses) > USES_SHOWN,
            "blocked_reason": services.media_blocked_reason(row),
        }
