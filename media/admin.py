"""Admin of media files."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import DetailAdmin, PageAdmin, column, picture, titled
from media.models import MediaFile, MediaName, MediaUse
from media.web.library import file_context


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
    list_filter = [("owner", titled(admin.RelatedOnlyFieldListFilter, _("owner")))]
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
        return file_context(row)


@admin.register(MediaName)
class MediaNameAdmin(DetailAdmin):
    list_display = ["__str__", column("media", _("file")), column("owner", _("owner"))]
    facts = [("media", _("File")), ("owner", _("Owner")), ("uploaded_at", _("Uploaded"))]
    list_select_related = ["media", "owner"]
    ordering = ["-pk"]
    search_fields = ["path", "owner__username"]
    search_help_text = _("A name, or an owner.")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # nobody needs this table on the overview


@admin.register(MediaUse)
class MediaUseAdmin(DetailAdmin):
    list_display = ["__str__", column("mission", _("mission")), column("media", _("file"))]
    facts = [("mission", _("Mission")), ("media", _("File"))]
    list_select_related = ["mission", "media"]
    ordering = ["-pk"]
    search_fields = ["=mission__id"]
    search_help_text = _("The number of a mission.")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # a file's page lists its missions: nobody needs this table on the overview
