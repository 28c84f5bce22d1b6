"""Uploaded reference images."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.urls import reverse
from ninja import Field, Schema

from core.api.pagination import PageIn, PageOut
from media.models import MediaFile
from missions import selectors
from missions.models import Mission

USES_SHOWN = 20


class MediaOut(Schema):
    """An image.  ``reference`` names it in a mission's rows; ``url`` is the file, for whoever has the address.

    ``preview_url`` is a JPEG of it of at most 384 pixels a side.
    """

    id: int
    reference: str = Field(examples=["media:12"])
    url: str = Field(examples=["/media/s8Vb1x0c…"])
    preview_url: str = Field(examples=["/media/s8Vb1x0c…/preview"])
    name: str
    owner: str
    content_type: str
    size_bytes: int
    width: int | None
    height: int | None
    sha256: str
    created_at: datetime

    @staticmethod
    def resolve_url(media: MediaFile) -> str:
        return reverse("media:file", args=[media.key])

    @staticmethod
    def resolve_preview_url(media: MediaFile) -> str:
        return reverse("media:preview", args=[media.key])

    @staticmethod
    def resolve_owner(media: MediaFile) -> str:
        return media.owner.get_username()


class MediaUseOut(Schema):
    """A mission that names the file."""

    api_mission_id: int
    name: str
    status: str

    @staticmethod
    def resolve_api_mission_id(mission: Mission) -> int:
        return mission.pk


class MediaDetailOut(MediaOut):
    """``used_by``: the newest missions that name the file, at most 20.  It can be deleted when none of them is open."""

    used_by: list[MediaUseOut]

    @staticmethod
    def resolve_used_by(media: MediaFile) -> list[Any]:
        return list(selectors.missions_naming(media, limit=USES_SHOWN))


class MediaPage(PageOut):
    items: list[MediaOut]


class MediaFilterIn(PageIn):
    search: Annotated[str, Field(max_length=200, description="Part of the name.")] = ""
