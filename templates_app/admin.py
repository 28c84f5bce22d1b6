from django.contrib import admin

from templates_app.models import MissionTemplate


@admin.register(MissionTemplate)
class MissionTemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "owner", "task_type", "updated_at"]
    list_filter = ["task_type"]
    search_fields = ["name", "owner__username"]
    list_select_related = ["owner"]
    readonly_fields = ["created_at", "updated_at"]
