"""The media library: reference images, where they are used, and what can go.

It stands here and not in the media app because only missions know which images they still need.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.conf import settings
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

from core.errors import NotPossible
from media.forms import MediaFilterForm, SelectionForm
from media.models import MediaFile
from media.services import CONTENT_TYPES, UploadInvalid, store_upload
from missions import selectors, services

PAGE_SIZE = 60
USES_SHOWN = 20
ERRORS_TOLD = 5


@login_required
@require_safe
def show_library(request: HttpRequest) -> HttpResponse:
    """The newest first, a page at a time."""
    mine = MediaFile.objects.visible_to(_user(request))
    wanted = MediaFilterForm(request.GET).found()
    page = Paginator(selectors.find_media(mine, **wanted), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "wanted": wanted,
        "has_any": bool(page.paginator.count) or mine.exists(),
        "max_bytes": settings.MEDIA_MAX_BYTES,
        "accepted": ",".join(CONTENT_TYPES.values()),
    }
    return render(request, "media/library.html", context)


@login_required
@require_safe
def show_file(request: HttpRequest, media_id: int) -> HttpResponse:
    """One image: what it is, which missions use it, whether it can go."""
    media = _visible(request, media_id)
    uses = selectors.missions_naming(media, limit=USES_SHOWN + 1)
    context = {
        "media": media,
        "uses": uses[:USES_SHOWN],
        "has_more_uses": len(uses) > USES_SHOWN,
        "blocked_reason": services.media_blocked_reason(media),
        "is_mine": media.owner_id == request.user.pk,
    }
    return render(request, "media/file.html", context)


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Several files at once, for browsers without JavaScript; with it, each goes to the API with its own progress."""
    stored, refused = 0, []
    for file in request.FILES.getlist("file"):
        try:
            store_upload(owner=_user(request), file=file, name=file.name or "")
            stored += 1
        except UploadInvalid as invalid:
            refused.append(f"{file.name}: {invalid}")
    if stored:
        done = ngettext("%(count)d image is in the library.", "%(count)d images are in the library.", stored)
        messages.success(request, done % {"count": stored})
    _tell_errors(request, refused or ([] if stored else [_("Choose at least one image.")]))
    return redirect("media:library")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, media_id: int) -> HttpResponse:
    """Asked first; refused while a mission needs it."""
    media = _visible(request, media_id)
    if request.method != "POST":
        return _ask(request, [media])
    _remove(request, [media])
    return redirect("media:library")


@login_required
@require_POST
def use_selection(request: HttpRequest) -> HttpResponse:
    """Open a new mission with the ticked images."""
    ids = SelectionForm(request.POST).ids()
    if not ids:
        messages.warning(request, _("Choose at least one image."))
        return redirect("media:library")
    return redirect(f"{reverse('missions:new')}?media={','.join(map(str, ids))}")


@login_required
@require_POST
def delete_selection(request: HttpRequest) -> HttpResponse:
    """Delete the ticked images, once that was confirmed; those that a mission needs stay."""
    ids = SelectionForm(request.POST).ids()
    chosen = list(MediaFile.objects.visible_to(_user(request)).filter(pk__in=ids))
    if not chosen:
        messages.warning(request, _("Choose at least one image."))
        return redirect("media:library")
    if "confirmed" not in request.POST:
        return _ask(request, chosen)
    _remove(request, chosen)
    return redirect("media:library")


def _ask(request: HttpRequest, chosen: list[MediaFile]) -> HttpResponse:
    obstacles = [blocked_reason for media in chosen if (blocked_reason := services.media_blocked_reason(media))]
    context = {"chosen": chosen, "obstacles": obstacles, "deletable_count": len(chosen) - len(obstacles)}
    return render(request, "media/delete.html", context)


def _remove(request: HttpRequest, chosen: Iterable[MediaFile]) -> None:
    """Delete what can go and say what stays, with the reason."""
    removed, kept = 0, []
    for media in chosen:
        try:
            services.delete_media(media=media)
            removed += 1
        except NotPossible as refusal:
            kept.append(str(refusal))
        except MediaFile.DoesNotExist:
            continue  # somebody else was faster
    if removed:
        done = ngettext("%(count)d image was deleted.", "%(count)d images were deleted.", removed)
        messages.success(request, done % {"count": removed})
    _tell_errors(request, kept)


def _tell_errors(request: HttpRequest, errors: list[str]) -> None:
    for error in errors[:ERRORS_TOLD]:
        messages.error(request, error)
    rest = len(errors) - ERRORS_TOLD
    if rest > 0:
        more = ngettext("And %(count)d more like these.", "And %(count)d more like these.", rest)
        messages.error(request, more % {"count": rest})


def _visible(request: HttpRequest, media_id: int) -> MediaFile:
    files = MediaFile.objects.visible_to(_user(request)).select_related("owner")
    return get_object_or_404(files, pk=media_id)


def _user(request: HttpRequest) -> Any:
    return cast(User, request.user)
