"""Schemas of the media API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.urls import reverse
from ninja import Field, Schema

from core.api.pagination import PageIn, PageOut
from media import renditions, selectors
from media.models import MediaFile, MediaUse


class SentOut(Schema):
    """The copy of an image for models that take JPEG and PNG of at most 10 MB, as most do.

    It has no metadata, such as a location. ``changes``: ``format``, ``smaller``, ``first_frame``
    (of an animation), ``upright`` (was rotated by its metadata), ``colours`` (to 8-bit sRGB),
    ``metadata`` (was removed), ``redrawn`` (the file was odd).
    """

    content_type: str = Field(examples=["image/jpeg"])
    size_bytes: int
    width: int
    height: int
    changes: list[str] = Field(examples=[["format", "smaller"]])
    url: str = Field(examples=["/media/s8Vb1x0c…/sent"])


class MediaOut(Schema):
    """An image.

    ``reference`` names it in a mission's rows; ``url`` is the file, readable by anyone who has it.

    ``preview_url`` is a JPEG of at most 384 pixels a side.

    ``sent_as`` is what most models get; null for an image of an older release that was not sent
    since. ``warnings`` say how that differs, for people.
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
    sent_as: SentOut | None
    warnings: list[str] = Field(examples=[["Converted from HEIC to JPEG, 12.4 MB → 3.1 MB."]])

    @staticmethod
    def resolve_sent_as(media: MediaFile) -> dict[str, object] | None:
        rendition = renditions.standard(media)
        if rendition is None:
            return None
        values = {name: getattr(rendition, name) for name in ("content_type", "size_bytes", "width", "height")}
        return values | {"changes": rendition.changes, "url": reverse("media:sent", args=[media.key])}

    @staticmethod
    def resolve_warnings(media: MediaFile) -> list[str]:
        return renditions.notes(media)

    @staticmethod
    def resolve_url(media: MediaFile) -> str:
        return reverse("media:file", args=[media.key])

    @staticmethod
    def resolve_preview_url(media: MediaFile) -> str:
        return reverse("media:preview", args=[media.key])

    @staticmethod
    def resolve_owner(media: MediaFile) -> str:
        return media.owner.get_username()


class UploadOut(MediaOut):
    """The first file of a request, and ``files``: all of them in their order."""

    files: list[MediaOut]

    @staticmethod
    def resolve_files(media: MediaFile) -> list[MediaFile]:
        return getattr(media, "uploaded", [media])


class MediaUseOut(Schema):
    """A mission that uses the file."""

    api_mission_id: int = Field(alias="mission_id")
    name: str = Field(alias="mission.name")
    status: str = Field(alias="mission.status")


class MediaDetailOut(MediaOut):
    """``names``: all under which it was uploaded.

    ``used_by``: the newest missions that use the file, at most 20. It can be deleted when none of
    them is open.
    """

    names: list[str] = Field(examples=[["a.jpg", "photos/front.jpg"]])
    used_by: list[MediaUseOut]

    @staticmethod
    def resolve_names(media: MediaFile) -> list[str]:
        return list(media.names.order_by("pk").values_list("path", flat=True)) or [media.name]

    @staticmethod
    def resolve_used_by(media: MediaFile) -> list[MediaUse]:
        return selectors.newest_uses(media)


class MediaPage(PageOut):
    items: list[MediaOut]


class MediaFilterIn(PageIn):
    search: Annotated[str, Field(max_length=200, description="Part of the name.")] = ""
