"""Star results."""

from __future__ import annotations

from collections.abc import Sequence

from missions.models import Output


def star_results(*, mission_id: int, indexes: Sequence[int], is_starred: bool) -> int:
    """Star the results of the items at these indexes, or remove the star.

    Return how many results changed.
    """
    outputs = Output.objects.filter(item__mission=mission_id, item__index__in=indexes, is_starred=not is_starred)
    return outputs.update(is_starred=is_starred)
