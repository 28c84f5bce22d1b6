"""``/results``: the results of all missions, found by words and filters."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from core.api.openapi import refusals
from core.api.values import DateTime
from core.errors import FieldError, Invalid
from missions.api.schemas.items import ItemOut
from missions.models import Mission, MissionItem
from missions.search import Filters, find_results
from providers.catalog.task_types import TaskType

router = Router(tags=["Results"])


class ResultFilterIn(Schema):
    search: Annotated[
        str,
        Field(
            max_length=200,
            description="Words that all occur in the prompt, the custom ID, the names of uploaded files or the tags; "
            "each may be the beginning of a word.",
        ),
    ] = ""
    mission_id: Annotated[int | None, Field(ge=1, le=2**63 - 1, description="Only results of this mission.")] = None
    custom_id: Annotated[str, Field(max_length=200, description="Exactly this one.")] = ""
    task_type: TaskType | None = None
    provider: Annotated[str, Field(max_length=32)] = ""
    model: Annotated[str, Field(max_length=200, description="An endpoint of `provider`, which is needed, too.")] = ""
    starred: Annotated[bool, Field(description="Only starred results.")] = False
    tag: Annotated[str, Field(max_length=40, description="Only results with this tag, in any case.")] = ""
    completed_from: Annotated[DateTime | None, Field(description="At or after this time.")] = None
    completed_to: Annotated[DateTime | None, Field(description="Before this time.")] = None
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$", description="The next_cursor of the page before.")] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class ResultOut(ItemOut):
    """A completed item with its outputs."""

    api_mission_id: int = Field(alias="mission_id")
    mission_name: str = Field(alias="mission.name")
    provider: str = Field(alias="mission.provider")
    model: str = Field(alias="mission.model")
    is_starred: bool
    completed_at: datetime = Field(alias="ended_at")

    @staticmethod
    def resolve_progress(item: MissionItem) -> float | None:
        return None

    @staticmethod
    def resolve_is_starred(item: MissionItem) -> bool:
        return any(output.is_starred for output in item.outputs.all())


class ResultPage(Schema):
    items: list[ResultOut]
    next_cursor: str | None


@router.get(
    "",
    response=ResultPage,
    summary="Search the results of all missions",
    openapi_extra={
        "responses": refusals(
            mission_id="It names no mission that you may see.", model="There is no `provider` beside it."
        )
    },
)
def list_results(request: HttpRequest, filters: Query[ResultFilterIn]) -> dict[str, Any]:
    """Newest first.

    `next_cursor` leads to the next page, and is null on the last. A result is found a moment after
    its completion.
    """
    if filters.model and not filters.provider:
        raise Invalid([FieldError("model", _("Give its provider as well."))])
    if filters.mission_id and not Mission.objects.visible_to(request.user).filter(pk=filters.mission_id).exists():
        raise Invalid([FieldError("mission_id", _("There is no such mission, or you may not see it."))])
    conditions = Filters(
        text=filters.search,
        mission=filters.mission_id or 0,
        custom_id=filters.custom_id,
        task_type=filters.task_type or "",
        provider=filters.provider,
        model=filters.model,
        is_starred=filters.starred,
        tag=filters.tag,
        since=filters.completed_from,
        until=filters.completed_to,
    )
    page = find_results(request.user, conditions, cursor=filters.cursor, limit=filters.limit)
    for item in page.items:
        for output in item.outputs.all():
            output.item = item
    return {"items": page.items, "next_cursor": page.next_cursor or None}
