"""``/media``: upload, list, show and delete reference images."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import File, Path, Query, Router, Status, UploadedFile

from accounts import rights
from accounts.authentication import CREATING
from accounts.rights import Action
from core.api.ids import RowId
from core.api.pagination import page_of
from media import selectors, services
from media.models import MediaFile
from media.schemas import MediaDetailOut, MediaFilterIn, MediaOut, MediaPage

router = Router(tags=["Media"])


@router.post("/upload", auth=CREATING, response={201: MediaOut, 200: MediaOut}, summary="Upload a reference image")
def upload_media(request: HttpRequest, file: File[UploadedFile]) -> Status[MediaFile]:
    """JPEG, PNG, GIF, WebP, HEIC, AVIF, BMP or TIFF.

    Type is detected from content. 201: created. 200: an identical file already exists.
    """
    stored = services.store_upload(owner=cast(User, request.user), file=file, name=file.name or "")
    return Status(201 if stored.is_new else 200, stored.media)


@router.get("/files", response=MediaPage, summary="List images")
def list_media(request: HttpRequest, filters: Query[MediaFilterIn]) -> dict[str, object]:
    """Newest first."""
    files = MediaFile.objects.visible_to(cast(User, request.user))
    return page_of(selectors.find_media(files, search=filters.search), filters, stable=["created_at"])


@router.get("/files/{media_id}", response=MediaDetailOut, summary="Show an image and its uses")
def show_media(request: HttpRequest, media_id: Path[RowId]) -> MediaFile:
    return _visible_file(request, media_id)


@router.delete("/files/{media_id}", response={204: None}, summary="Delete an image")
def delete_media(request: HttpRequest, media_id: Path[RowId]) -> Status[None]:
    """Refused while an open mission uses it."""
    services.delete_media(media=_visible_file(request, media_id, Action.DELETE))
    return Status(204, None)


def _visible_file(request: HttpRequest, media_id: int, action: Action = Action.VIEW) -> MediaFile:
    files = MediaFile.objects.visible_to(cast(User, request.user)).select_related("owner")
    media = get_object_or_404(files, pk=media_id)
    rights.require(request.user, action, media)
    return media
