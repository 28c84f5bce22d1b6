"""``/media``: upload, list, show and delete reference images."""

from __future__ import annotations

from typing import Annotated, cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Field, FileEx, Form, Path, Query, Router, Status, UploadedFile

from accounts import rights
from accounts.authentication import CREATING
from accounts.rights import Action
from core.api.ids import RowId
from core.api.openapi import refusals
from core.api.pagination import PAGE_RULES, page_of
from core.errors import FieldError, Invalid
from media import selectors, services
from media.models import MediaFile
from media.schemas import MediaDetailOut, MediaFilterIn, MediaPage, UploadOut

router = Router(tags=["Media"])
UploadPath = Annotated[str, Field(max_length=500)]
Files = FileEx[list[UploadedFile], {"min_length": 1}]


@router.post(
    "/upload",
    auth=CREATING,
    response={201: UploadOut, 200: UploadOut},
    summary="Upload reference images",
    openapi_extra={
        "responses": refusals(
            file="`upload_invalid`: it is not a complete image, or too large (docs/media.md).",
            path="There is not one for each file.",
        )
    },
)
def upload_media(request: HttpRequest, file: Files, path: Form[list[UploadPath] | None] = None) -> Status[MediaFile]:
    """JPEG, PNG, GIF, WebP, HEIC, AVIF, BMP or TIFF, one or several.

    Type is detected from content. 201: created. 200: identical files already exist. Of several
    files all are stored, or none. A name that is new is added to those of the file; ``path`` gives
    the names with their folders, in the order of the files.
    """
    owner = cast(User, request.user)
    if path and len(path) != len(file):
        raise Invalid([FieldError("path", _("Give one path for each file, or none."))])
    uploads, errors = [], []
    for number, each in enumerate(file):
        try:
            name = path[number] if path else each.name or ""
            uploads.append(services.read_upload(owner=owner, file=each, name=name))
        except services.UploadInvalid as invalid:
            field = "file" if len(file) == 1 else f"file.{number}"
            prefix = "" if len(file) == 1 else f"{each.name}: "
            errors.append(FieldError(field, f"{prefix}{invalid}"))
    if errors:
        message = "" if len(file) > 1 else errors[0].message
        raise services.UploadInvalid(message or _("Nothing was stored. Correct the files that are named."), errors)
    stored = [services.store(upload, owner=owner) for upload in uploads]
    first = stored[0].media
    first.uploaded = [each.media for each in stored]  # type: ignore[attr-defined]
    return Status(201 if any(each.is_new for each in stored) else 200, first)


@router.get("/files", response=MediaPage, summary="List images", openapi_extra={"responses": refusals(**PAGE_RULES)})
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
