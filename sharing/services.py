"""Create, open and withdraw links, and star results on their pages."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit.models import Verb
from accounts.audit.services import record
from core.db import bulk
from core.errors import FieldError, Gone, Invalid, NotPossible
from mission_pages import gallery_queries
from mission_pages.gallery_queries import ResultsPage
from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus
from missions.services.results import star_items
from sharing.models import Pick, ShareLink

MOST_LINKS = 100  # that work at the same time, of a mission
MOST_DAYS = 366
DEFAULT_DAYS = 14
BATCH = 500  # rows in one statement
OPENED_PAUSE = timedelta(minutes=1)  # an opening is counted once in this time


class LinkInvalid(Invalid):
    """The values of a new link are refused. Nothing was created."""


class LinkEnded(Gone):
    """The link was withdrawn, has expired, or its creator can no longer sign in."""


def create_link(
    *,
    mission: Mission,
    creator: User,
    title: str = "",
    message: str = "",
    indexes: Sequence[int] | None = None,
    expires_at: datetime | None = None,
    shows_prompts: bool = False,
    allows_download: bool = True,
    allows_picks: bool = True,
) -> ShareLink:
    """Create a link to a mission's results.

    ``indexes`` are those of the items to share; None shares all results, also later ones.
    ``title`` is the mission's name if empty. ``expires_at`` is in DEFAULT_DAYS if None.

    Raises LinkInvalid, and NotPossible if the mission has MOST_LINKS links already.
    """
    now = timezone.now()
    expires_at = expires_at or now + timedelta(days=DEFAULT_DAYS)
    errors = []
    if not now < expires_at <= now + timedelta(days=MOST_DAYS):
        text = _("Choose a time in the future, at most %(days)s days from now.") % {"days": MOST_DAYS}
        errors.append(FieldError("expires_at", text))
    rows = None if indexes is None else _rows_of(mission, indexes)
    if rows == []:
        errors.append(FieldError("items", _("Choose results of this mission that are completed.")))
    if errors:
        raise LinkInvalid(errors)
    if ShareLink.objects.open().filter(mission=mission).count() >= MOST_LINKS:
        text = _("This mission has %(count)s links. Withdraw one that is no longer needed, then create another.")
        raise NotPossible(text % {"count": MOST_LINKS})
    link = ShareLink(
        mission=mission,
        creator=creator,
        title=title.strip() or mission.name,
        message=message.strip(),
        expires_at=expires_at,
        shows_prompts=shows_prompts,
        allows_download=allows_download,
        allows_picks=allows_picks,
    )
    link.rows = rows
    with transaction.atomic():
        link.save()
        shared = "all" if rows is None else len(rows)
        record(
            Verb.MISSION_SHARE, mission, name=mission.name, link=link.pk, results=shared, until=expires_at.isoformat()
        )
    return link


def withdraw(link: ShareLink) -> None:
    """End a link at once. Its picks stay, and so do the stars that they brought."""
    with transaction.atomic():
        if ShareLink.objects.filter(pk=link.pk, withdrawn_at=None).update(withdrawn_at=timezone.now()):
            record(Verb.MISSION_UNSHARE, link.mission, name=link.mission.name, link=link.pk)


def find_link(token: str) -> ShareLink:
    """Return the link of a token, with its mission.

    Raises Http404 if there is none, LinkEnded if it works no longer.
    """
    signed = ShareLink.id_and_nonce(token)
    if signed is None:
        raise Http404
    link = get_object_or_404(ShareLink.objects.select_related("mission", "creator"), pk=signed[0], nonce=signed[1])
    if link.mission.delete_requested_at:
        raise Http404
    if not link.is_open:
        raise LinkEnded
    return link


def count_opening(link: ShareLink) -> None:
    """Count that the page was opened, at most once in OPENED_PAUSE."""
    now = timezone.now()
    if link.last_opened_at is None or link.last_opened_at < now - OPENED_PAUSE:
        ShareLink.objects.filter(pk=link.pk, last_opened_at=link.last_opened_at).update(
            opened_count=F("opened_count") + 1, last_opened_at=now
        )


def shared_page(link: ShareLink, *, limit: int, after: str = "", only_picks: bool = False) -> ResultsPage:
    """Return the page of a link's results that begins after a row, in the order of the batch.

    ``after`` is the number of a row; anything else begins with the first. With ``only_picks`` the
    page has the starred ones alone.
    """
    rows = picked_rows(link) if only_picks else link.rows
    if rows is None:
        return gallery_queries.results_page(link.mission, view=gallery_queries.BATCH_ORDER, limit=limit, after=after)
    begin = bisect.bisect_right(rows, int(after)) if after.isdecimal() else 0
    items: list[MissionItem] = []
    for part in bulk.batches(rows[begin:], BATCH):
        items += _chosen(link.mission, part).prefetch_related("outputs")[: limit + 1 - len(items)]
        if len(items) > limit:
            break
    for item in items:
        item.mission = link.mission
    return ResultsPage(items[:limit], after=str(items[limit - 1].place) if len(items) > limit else "")


def picked_rows(link: ShareLink) -> list[int]:
    """Return the numbers of the rows with a starred result, ascending."""
    items = MissionItem.objects.filter(picks__link=link)
    return sorted({first or index for first, index in items.values_list("first_index", "index")})


def shared_indexes(link: ShareLink) -> list[int] | None:
    """Return the numbers of the items that a link shows now; None: all results of the mission."""
    rows = link.rows
    if rows is None:
        return None
    parts = [_chosen(link.mission, part).values_list("index", flat=True) for part in bulk.batches(rows, BATCH)]
    return [index for part in parts for index in part]


def shared_item(link: ShareLink, index: int) -> MissionItem:
    """Return an item that a link shows. Raises Http404 if it shows none of this number."""
    item = gallery_queries.results(link.mission, gallery_queries.BATCH_ORDER).filter(index=index).first()
    if item is None or not link.has_row(item.place):
        raise Http404
    item.mission = link.mission
    return item


def _rows_of(mission: Mission, indexes: Sequence[int]) -> list[int]:
    """Return the rows of the completed items among these, ascending."""
    rows = set()
    for part in bulk.batches(list(indexes), BATCH):
        items = mission.items.filter(status=ItemStatus.COMPLETED, index__in=part)
        rows |= {first or index for first, index in items.values_list("first_index", "index")}
    return sorted(rows)


def _chosen(mission: Mission, rows: Sequence[int]) -> QuerySet[MissionItem]:
    """Return the chosen results of rows that have a stored file or text, in order."""
    stored = Output.objects.filter(item=OuterRef("pk"), status=OutputStatus.STORED)
    items = gallery_queries.results(mission, gallery_queries.BATCH_ORDER).filter(Exists(stored))
    return items.annotate(row=Coalesce("first_index", "index")).filter(row__in=rows).order_by("row")


def pick(link: ShareLink, index: int, *, is_picked: bool) -> None:
    """Star a result for the viewers of a link, or take that back. The star of its owner follows.

    A star that was there before stays. Raises Http404 if the link does not show the item,
    NotPossible if it allows no picks.
    """
    if not link.allows_picks:
        raise NotPossible(_("Results cannot be starred with this link."))
    item = shared_item(link, index)
    with transaction.atomic():
        # One after the other: two clicks at once must not both believe that the star is theirs.
        ShareLink.objects.select_for_update().get(pk=link.pk)
        mine = Pick.objects.filter(link=link, item=item)
        if is_picked and not mine.exists():
            has_star = Output.objects.filter(item=item, is_starred=True).exists()
            Pick.objects.create(link=link, item=item, adds_star=not has_star)
            star_items(item_ids=[item.pk], is_starred=True)
        elif not is_picked and (before := mine.first()):
            before.delete()
            heir = Pick.objects.filter(item=item).first() if before.adds_star else None
            if heir:
                Pick.objects.filter(pk=heir.pk).update(adds_star=True)
            elif before.adds_star:
                star_items(item_ids=[item.pk], is_starred=False)
