"""Schemas of the media API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.urls import reverse
from ninja import Field, Schema

from core.api.pagination import PageIn, PageOut
from media import selectors
from media.models import MediaFile, MediaUse


class MediaOut(Schema):
    """An image.

    ``reference`` names it in a mission's rows; ``url`` is the file, readable by anyone who has it.

    ``preview_url`` is a JPEG of at most 384 pixels a side.
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
    """A mission that uses the file."""

    api_mission_id: int = Field(alias="mission_id")
    name: str = Field(alias="mission.name")
    status: str = Field(alias="mission.status")


class MediaDetailOut(MediaOut):
    """``used_by``: the newest missions that use the file, at most 20.

    It can be deleted when none of them is open.
    """

    used_by: list[MediaUseOut]

    @staticmethod
    def resolve_used_by(media: MediaFile) -> list[MediaUse]:
        return selectors.newest_uses(media)


class MediaPage(PageOut):
    items: list[MediaOut]


class MediaFilterIn(PageIn):
    search: Annotated[str, Field(max_length=200, description="Part of the name.")] = ""
