"""Recent charges of providers for a model, beside its price in the catalogue."""

from __future__ import annotations

from decimal import Decimal

from django.core.cache import cache
from django.db.models.functions import Coalesce

from missions.models import Attempt, AttemptStatus, Mission
from missions.policy import charges

SAMPLES = 10  # latest successes of a model
CACHE_SECONDS = 2.0


def factor(mission: Mission) -> Decimal | None:
    """Return by how much the mission's model was charged above its price of late, at least 1.

    None: no task of the model has succeeded yet. A number is cached for a moment in each process;
    None is not, so that the first charge lets more items go at once.
    """
    key = f"charges:{mission.provider}:{mission.model}:{mission.currency}"
    known: Decimal | None = cache.get(key)
    if known is None:
        succeeded = Attempt.objects.filter(
            model=mission.model,
            status=AttemptStatus.SUCCEEDED,
            account__provider=mission.provider,
            currency=mission.currency,
        )
        price = Coalesce("list_price", "expected_cost")
        known = charges.factor(succeeded.order_by("-ended_at").values_list("cost", price)[:SAMPLES])
        if known is not None:
            cache.set(key, known, CACHE_SECONDS)
    return known


def probes_left(mission: Mission) -> int | None:
    """Return how many items may be claimed before the first charge of the model is known.

    None: it is known. The missions of one person share this number.
    """
    if factor(mission) is not None:
        return None
    in_flight = Attempt.objects.filter(
        item__mission__owner=mission.owner_id,
        item__mission__provider=mission.provider,
        model=mission.model,
        account__provider=mission.provider,
        status__in=[AttemptStatus.PREPARED, AttemptStatus.SENDING, AttemptStatus.RUNNING],
    )
    return max(charges.PROBE_ITEMS - in_flight[: charges.PROBE_ITEMS].count(), 0)
