"""Pages of the media library: reference images, the missions that use them, and their deletion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import rights
from accounts.rights import Action
from core.storage.disk import OutOfSpace
from media import renditions, selectors, services
from media.forms import MediaFilterForm, SelectionForm
from media.images import FORMATS_BY_TYPE
from media.models import MediaFile

PAGE_SIZE = 60
ERRORS_SHOWN = 5
SHOWN_BY_BROWSERS = {"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"}


@login_required
@require_safe
def show_library(request: HttpRequest) -> HttpResponse:
    """Show the visible images, newest first."""
    files = MediaFile.objects.visible_to(_user(request))
    filters = MediaFilterForm(request.GET).filters()
    page = Paginator(selectors.find_media(files, **filters), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "filters": filters,
        "has_any": bool(page.paginator.count) or files.exists(),
    }
    return render(request, "media/library.html", context)


@login_required
@require_safe
def show_file(request: HttpRequest, media_id: int) -> HttpResponse:
    """Show one image, the missions that use it, and if it can be deleted."""
    media = _visible_file(request, media_id)
    context = {"is_mine": media.owner_id == request.user.pk, **file_context(media)}
    return render(request, "media/file.html", context)


def file_context(media: MediaFile) -> dict[str, Any]:
    """Return the context of a file's page: the file, its newest uses, and why it cannot be
    deleted.
    """
    uses = selectors.newest_uses(media, limit=selectors.USES_SHOWN + 1)
    rendition = renditions.standard(media)
    return {
        "media": media,
        "is_shown_by_browsers": media.content_type in SHOWN_BY_BROWSERS,
        "rendition": rendition,
        "sent_format": FORMATS_BY_TYPE[rendition.content_type].label if rendition else "",
        "notes": renditions.notes(media),
        "uses": uses[: selectors.USES_SHOWN],
        "has_more_uses": len(uses) > selectors.USES_SHOWN,
        "blocked_reason": services.blocked_reason(media),
    }


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Store several files at once, for browsers without JavaScript.

    With JavaScript, the page sends each file to the API and shows its progress.
    """
    stored_count, errors = 0, []
    for file in request.FILES.getlist("file"):
        try:
            media = services.store_upload(owner=_user(request), file=file, name=file.name or "").media
            stored_count += 1
            if notes := renditions.notes(media):
                messages.info(request, f"{media.name}: {' '.join(notes)}")
        except services.UploadInvalid as invalid:
            errors.append(f"{file.name}: {invalid}")
        except OutOfSpace as full:
            errors.append(str(full))
            break
    if stored_count:
        text = ngettext("%(count)d image was uploaded.", "%(count)d images were uploaded.", stored_count)
        messages.success(request, text % {"count": stored_count})
    elif not errors:
        errors = [_("Choose at least one image.")]
    _show_errors(request, errors)
    return redirect("media:library")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, media_id: int) -> HttpResponse:
    """Ask before deleting an image, then delete it unless an open mission uses it."""
    media = _visible_file(request, media_id, Action.DELETE)
    if request.method != "POST":
        return _confirm_deletion(request, [media])
    _delete_files(request, [media])
    return redirect("media:library")


@login_required
@require_POST
def use_selection(request: HttpRequest) -> HttpResponse:
    """Open a new mission with the selected images."""
    ids = SelectionForm(request.POST).ids()
    if not ids:
        messages.warning(request, _("Choose at least one image."))
        return redirect("media:library")
    return redirect(f"{reverse('missions:new')}?media={','.join(map(str, ids))}")


@login_required
@require_POST
def delete_selection(request: HttpRequest) -> HttpResponse:
    """Delete the selected images once that is confirmed; those used by open missions stay."""
    ids = SelectionForm(request.POST).ids()
    files = list(MediaFile.objects.visible_to(_user(request)).filter(pk__in=ids))
    if not files:
        messages.warning(request, _("Choose at least one image."))
        return redirect("media:library")
    for media in files:
        rights.require(request.user, Action.DELETE, media)
    if "confirmed" not in request.POST:
        return _confirm_deletion(request, files)
    _delete_files(request, files)
    return redirect("media:library")


def _confirm_deletion(request: HttpRequest, files: list[MediaFile]) -> HttpResponse:
    reasons = [reason for media in files if (reason := services.blocked_reason(media))]
    context = {"files": files, "blocked_reasons": reasons, "deletable_count": len(files) - len(reasons)}
    return render(request, "media/delete.html", context)


def _delete_files(request: HttpRequest, files: Iterable[MediaFile]) -> None:
    """Delete the files that can be deleted, and show why the others stay."""
    deleted_count, errors = 0, []
    for media in files:
        try:
            services.delete_media(media=media)
            deleted_count += 1
        except services.MediaInUse as refusal:
            errors.append(str(refusal))
        except MediaFile.DoesNotExist:
            continue  # somebody else deleted it first
    if deleted_count:
        text = ngettext("%(count)d image was deleted.", "%(count)d images were deleted.", deleted_count)
        messages.success(request, text % {"count": deleted_count})
    _show_errors(request, errors)


def _show_errors(request: HttpRequest, errors: list[str]) -> None:
    for error in errors[:ERRORS_SHOWN]:
        messages.error(request, error)
    rest = len(errors) - ERRORS_SHOWN
    if rest > 0:
        text = ngettext("And %(count)d more like this.", "And %(count)d more like these.", rest)
        messages.error(request, text % {"count": rest})


def _visible_file(request: HttpRequest, media_id: int, action: Action = Action.VIEW) -> MediaFile:
    files = MediaFile.objects.visible_to(_user(request)).select_related("owner")
    media = get_object_or_404(files, pk=media_id)
    rights.require(request.user, action, media)
    return media


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
