"""``/missions/{id}/links``: links that show results without an account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Field, Path, Router, Schema, Status

from accounts.rights import Action
from core.api.ids import RowId
from core.api.openapi import refusals
from core.api.values import DateTime, Index, Strict
from missions.api.missions import visible_mission
from sharing import services
from sharing.models import ShareLink

router = Router(tags=["Share links"])


class LinkIn(Strict):
    """A new link."""

    title: Annotated[str, Field(max_length=200, description="The mission's name if it is empty.")] = ""
    message: Annotated[str, Field(max_length=2000, description="Shown above the results.")] = ""
    items: Annotated[
        list[Index] | None,
        Field(min_length=1, max_length=10_000, description="The indexes of completed items; null: all results."),
    ] = None
    expires_at: Annotated[
        DateTime | None,
        Field(description=f"At most {services.MOST_DAYS} days from now; null: in {services.DEFAULT_DAYS} days."),
    ] = None
    shows_prompts: bool = False
    allows_download: bool = True
    allows_picks: Annotated[bool, Field(description="Viewers can star results.")] = True


class LinkOut(Schema):
    """A link. ``url`` is a secret: whoever has it sees the results."""

    id: int
    url: Annotated[str, Field(description="A full address if `PUBLIC_BASE_URL` is set, else a path.")]
    title: str
    message: str
    is_open: Annotated[
        bool, Field(description="It works: it was not withdrawn, has not expired, and its creator is active.")
    ]
    result_count: Annotated[int | None, Field(description="null: all results of the mission.")]
    shows_prompts: bool
    allows_download: bool
    allows_picks: bool
    opened_count: int
    pick_count: Annotated[int, Field(description="Results that viewers have starred.")]
    picks: Annotated[list[int], Field(description="The indexes of these items.")]
    created_at: datetime
    expires_at: datetime
    withdrawn_at: datetime | None

    @staticmethod
    def resolve_url(link: ShareLink) -> str:
        return settings.PUBLIC_BASE_URL + reverse("sharing:shared", args=[link.token])

    @staticmethod
    def resolve_result_count(link: ShareLink) -> int | None:
        return None if link.rows is None else len(link.rows)

    @staticmethod
    def resolve_picks(link: ShareLink) -> list[int]:
        return [pick.item.index for pick in link.picks.all()]

    @staticmethod
    def resolve_pick_count(link: ShareLink) -> int:
        return len(link.picks.all())


@router.post(
    "/{mission_id}/links",
    response={201: LinkOut},
    summary="Create a share link",
    openapi_extra={
        "responses": refusals(
            expires_at=f"It is in the past, or more than {services.MOST_DAYS} days from now.",
            items="The mission has no completed item among them.",
        )
        | {409: {"description": f"The mission has {services.MOST_LINKS} links that work."}}
    },
)
def create_link(request: HttpRequest, mission_id: Path[RowId], payload: LinkIn) -> Status[ShareLink]:
    """Whoever has the link sees the results without an account, until it expires or is withdrawn.

    Costs are never shown, and prompts only with `shows_prompts`.
    """
    mission = visible_mission(request, mission_id, Action.CHANGE)
    values = payload.dict()
    link = services.create_link(
        mission=mission, creator=cast(User, request.user), indexes=values.pop("items"), **values
    )
    return Status(201, link)


@router.get("/{mission_id}/links", response=list[LinkOut], summary="List the share links of a mission")
def list_links(request: HttpRequest, mission_id: Path[RowId]) -> QuerySet[ShareLink]:
    """Newest first, also those that no longer work."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    return mission.share_links.select_related("creator", "mission").prefetch_related("picks__item")


@router.delete("/{mission_id}/links/{link_id}", response={204: None}, summary="Withdraw a share link")
def withdraw_link(request: HttpRequest, mission_id: Path[RowId], link_id: Path[RowId]) -> Status[None]:
    """Stop showing the results at once. Its stars stay."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    services.withdraw(get_object_or_404(ShareLink.objects.select_related("mission"), mission=mission, pk=link_id))
    return Status(204, None)
