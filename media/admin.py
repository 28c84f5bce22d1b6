from django.contrib import admin
from django.http import HttpRequest

from media.models import MediaFile


@admin.register(MediaFile)
class MediaFileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "owner", "content_type", "size_bytes", "width", "height", "created_at"]
    list_filter = ["content_type"]
    search_fields = ["name", "=sha256", "owner__username"]
    list_select_related = ["owner"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: MediaFile | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: MediaFile | None = None) -> bool:
        return False  # a mission that still waits may name it
