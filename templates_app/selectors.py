"""Reads of templates."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from templates_app.models import MissionTemplate


def find_templates(
    templates: QuerySet[MissionTemplate], *, task_type: str | None = None, search: str = ""
) -> QuerySet[MissionTemplate]:
    """Return the templates of a task type whose name or description contains ``search``."""
    if task_type:
        templates = templates.filter(task_type=task_type)
    if words := search.replace("\0", "").strip():
        templates = templates.filter(Q(name__icontains=words) | Q(description__icontains=words))
    return templates.select_related("owner")
