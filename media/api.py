"""``/media``: reference images.

It stands here and not in the media app because deleting a file needs to know whether a mission still needs it, and the media
app knows no missions.
"""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import File, Path, Query, Router, Status, UploadedFile

from core.api.ids import RowId
from core.api.pagination import page_of
from media.models import MediaFile
from media.schemas import MediaDetailOut, MediaFilterIn, MediaOut, MediaPage
from media.services import store_upload
from missions import selectors, services

router = Router(tags=["Media"])


@router.post("/upload", response={201: MediaOut, 200: MediaOut}, summary="Upload a reference image")
def upload(request: HttpRequest, file: File[UploadedFile]) -> Status[MediaFile]:
    """JPEG, PNG, GIF or WebP, told by its content.  201: kept.  200: you had uploaded the same bytes before; that one."""
    stored = store_upload(owner=cast(User, request.user), file=file, name=file.name or "")
    return Status(201 if stored.is_new else 200, stored.media)


@router.get("/files", response=MediaPage, summary="List images")
def list_files(request: HttpRequest, wanted: Query[MediaFilterIn]) -> dict[str, object]:
    """The newest first."""
    files = MediaFile.objects.visible_to(cast(User, request.user))
    return page_of(selectors.find_media(files, search=wanted.search), wanted)


@router.get("/files/{media_id}", response=MediaDetailOut, summary="Show an image and where it is used")
def show_file(request: HttpRequest, media_id: Path[RowId]) -> MediaFile:
    return _visible(request, media_id)


@router.delete("/files/{media_id}", response={204: None}, summary="Delete an image")
def delete_file(request: HttpRequest, media_id: Path[RowId]) -> Status[None]:
    """Refused while a mission that has not ended names it."""
    services.delete_media(media=_visible(request, media_id))
    return Status(204, None)


def _visible(request: HttpRequest, media_id: int) -> MediaFile:
    return get_object_or_404(
        MediaFile.objects.visible_to(cast(User, request.user)).select_related("owner"), pk=media_id
    )
