"""``/missions/ID/items/N/compare`` and ``/results/compare``: results beside each other.

The first shows one row: with every model that was submitted together for it, and the versions of
it. The second shows results of any missions that were selected. Both work without scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import rights
from accounts.rights import Action
from mission_pages.access import group_of, visible_item
from mission_pages.forms import NumbersField
from mission_pages.item_presenter import ItemView, present_results
from mission_pages.running import RunningItem, present_running
from missions import lifecycle, services
from missions.models import ItemStatus, Mission, MissionItem, MissionStatus, Output, OutputStatus
from providers import catalog

MAX_SHOWN = 24
NEARBY = 50  # rows before and after, among which the row of another mission is looked for
UNFINISHED = (ItemStatus.PENDING, ItemStatus.SUBMITTING, ItemStatus.PROCESSING)


@dataclass(frozen=True, slots=True)
class Side:
    """A result of a comparison, or the reason why there is none.

    ``view`` is None if the mission has no such row. ``outputs`` are those that can be shown.
    ``price`` is what was charged, or what is expected if ``is_estimate``; None if unknown.
    ``caption`` is its prompt, if that is not the one above all.
    """

    mission: Mission
    label: str
    view: ItemView | None = None
    outputs: Sequence[Output] = ()
    unshown: Sequence[Output] = ()
    price: Decimal | None = None
    is_estimate: bool = False
    caption: str = ""
    running: RunningItem | None = None
    may_change: bool = False

    @property
    def is_starred(self) -> bool:
        return any(output.is_starred for output in (*self.outputs, *self.unshown))

    @property
    def is_held(self) -> bool:
        """True if the item waits behind the first rows of its mission."""
        item = self.view.item if self.view else None
        return item is not None and self.mission.held_count > 0 and item.available_at == lifecycle.HELD_UNTIL

    @property
    def is_changing(self) -> bool:
        """True if the page has to look again."""
        if self.view is None or self.is_held:
            return False
        is_fetched = all(output.status != OutputStatus.PENDING for output in self.unshown)
        return self.view.item.status in UNFINISHED or not is_fetched


@login_required
@require_safe
def compare_row(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    """Show a row with all models of the mission's group; ``?versions=1`` with all versions."""
    item = visible_item(request, mission_id, index)
    mission = item.mission
    others = list(group_of(mission).exclude(pk=mission.pk)) if mission.group else []
    found = sorted([(mission, item.place), *_same_rows(item, others)], key=lambda pair: pair[0].pk)
    has_versions = False
    items: list[tuple[Mission, MissionItem | None]] = []
    shows_all = not others or request.GET.get("versions") == "1"
    for each, place in found:
        versions: list[MissionItem] = []
        if place is not None:
            row = MissionItem(mission=each, index=place)
            versions = list(lifecycle.versions_of(each, row).order_by("version").prefetch_related("outputs"))
        has_versions |= len(versions) > 1
        items += [(each, version) for version in versions if shows_all or version.is_chosen] or [(each, None)]
    first_versions = mission.items.filter(first_index=None).order_by("index")
    before = first_versions.filter(index__lt=item.place).reverse().values_list("index", flat=True).first()
    after = first_versions.filter(index__gt=item.place).values_list("index", flat=True).first()
    sides = _sides(request, items, of_row=True)
    captions = [side.view.caption for side in sides if side.view and side.mission.pk == mission.pk]
    context = {
        "mission": mission,
        "item": item,
        "before": before,
        "after": after,
        "others": others,
        "shows_all": shows_all,
        "has_versions": has_versions,
        "heading": _("Row %(number)d") % {"number": item.place},
    }
    return _show(request, sides, captions[0] if captions else "", context)


@login_required
@require_safe
def compare_selected(request: HttpRequest) -> HttpResponse:
    """Show selected results of any missions; ``item`` holds the ids of their items."""
    try:
        ids = NumbersField().clean(request.GET.getlist("item"))
    except ValidationError:  # far too many
        ids = []
    visible = MissionItem.objects.filter(
        pk__in=ids[: MAX_SHOWN + 1], mission__in=Mission.objects.visible_to(request.user)
    )
    items = list(visible.select_related("mission").prefetch_related("outputs").order_by("pk"))
    if not items:
        return redirect("missions:results")
    sides = _sides(request, [(item.mission, item) for item in items[:MAX_SHOWN]], of_row=False)
    captions = {side.view.caption for side in sides if side.view}
    context = {"heading": _("Compare"), "is_cut": len(ids) > MAX_SHOWN}
    return _show(request, sides, captions.pop() if len(captions) == 1 else "", context)


def _same_rows(item: MissionItem, missions: Sequence[Mission]) -> list[tuple[Mission, int | None]]:
    """Return the number that the row of an item has in other missions of its group, or None.

    It is the same number, unless rows were left out that one model does not take. So a row with
    another content is looked for nearby. If there is none and the missions have as many rows, its
    prompt was changed.
    """
    rows = [item, *MissionItem.objects.filter(mission__in=missions, index=item.place).select_related("mission")]
    if item.first_index:
        rows[0] = item.mission.items.select_related("mission").get(index=item.place)
    wanted, *views = present_results(rows)
    found = {view.item.mission_id: view for view in views}
    pairs: list[tuple[Mission, int | None]] = []
    for mission in missions:
        view = found.get(mission.pk)
        place = item.place if view else None
        if view is None or view.caption != wanted.caption:
            near = mission.items.filter(first_index=None, index__range=(item.place - NEARBY, item.place + NEARBY))
            candidates = present_results(list(near.select_related("mission")))
            same = [each.item.index for each in candidates if each.caption == wanted.caption]
            changed = place if _row_count(mission) == _row_count(item.mission) else None
            place = min(same, key=lambda index: abs(index - item.place), default=changed)
        pairs.append((mission, place))
    return pairs


def _row_count(mission: Mission) -> int:
    """Return the number of a mission's rows. Only later versions are counted."""
    return mission.total_count - mission.items.filter(first_index__isnull=False).count()


def _sides(request: HttpRequest, items: Sequence[tuple[Mission, MissionItem | None]], *, of_row: bool) -> list[Side]:
    """Return the items, or missing rows, as sides: labelled with their models, and of different
    rows with their missions.
    """
    for mission, item in items:
        if item is not None:
            item.mission = mission
    views = {view.item.pk: view for view in present_results([item for _mission, item in items if item is not None])}
    sides = []
    for mission, item in items:
        label = catalog.model_of(mission).label
        if not of_row and item is not None:
            label = f"{mission.name} · {item.place}"
        if item is None:
            sides.append(Side(mission, label))
            continue
        if item.version > 1 or (of_row and sum(each.pk == mission.pk for each, _item in items) > 1):
            label += f" · {_('Version %(number)d') % {'number': item.version}}"
        outputs = list(item.outputs.all())
        for output in outputs:
            output.item = item
        sides.append(
            Side(
                mission,
                label,
                views[item.pk],
                [output for output in outputs if output.status == OutputStatus.STORED],
                [output for output in outputs if output.status != OutputStatus.STORED],
                item.cost or services.price_again(mission, [item]),
                is_estimate=not item.cost,
                running=next(iter(present_running(mission, [item])), None),
                may_change=rights.may(request.user, Action.CHANGE, mission),
            )
        )
    return sides


def _show(request: HttpRequest, sides: Sequence[Side], caption: str, context: dict[str, Any]) -> HttpResponse:
    context |= {
        "sides": sides,
        "caption": caption,
        "is_live": any(side.is_changing and side.mission.status != MissionStatus.PAUSED for side in sides),
        "done_count": sum(bool(side.outputs) for side in sides),
        "can_compare": sum(len(side.outputs) for side in sides) > 1,
    }
    return render(request, "mission_pages/comparison.html", context)
