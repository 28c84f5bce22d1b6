"""Options and faults of the chat simulator, each in one table."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from typing import Any

from devtools.simulators.http import HTTP_FAULTS
from devtools.simulators.runninghub.faults import Amount, amount_of, chance


def option(default: Any, meaning: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclasses.dataclass
class Options:
    answer_words: int = option(20, "words in an answer, unless max_tokens is lower")
    first_token_seconds: float = option(0.0, "seconds before an answer begins")
    token_seconds: float = option(0.0, "seconds between two words of a stream")
    context_words: int = option(8000, "longest prompt; a longer one exceeds the context")
    needs_key: bool = option(False, "refuse calls without a key (401)")
    models: str = option("simulated-chat,simulated-vision", "comma list of the models that exist")

    def change(self, name: str, value: Any) -> None:
        """Set one option from JSON or text. Raises ValueError for a bad name or value."""
        if name not in NAMES:
            raise ValueError(f"there is no option {name!r}")
        kind = type(getattr(self, name))
        try:
            parsed = str(value).lower() in ("true", "1", "yes") if kind is bool else kind(value)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be of type {kind.__name__}, not {value!r}") from None
        setattr(self, name, parsed)


NAMES = [field.name for field in dataclasses.fields(Options)]

# submit_*: refused before anything is written, nothing is paid.
# paid_*: accepted and paid, then spoilt.
FAULTS = {
    "submit": HTTP_FAULTS | {"drop", "hang", "context", "context_500", "quota"},
    "paid": {
        *("500", "502", "504", "drop", "hang", "malformed", "no_choices"),  # no answer begins
        *("half", "bad_chunk", "error_chunk", "stall"),  # it begins and breaks
        *("empty", "length", "filter", "not_json", "no_usage", "no_done", "whole"),  # it is odd, but complete
    },
}
MARKER = re.compile(r"\[\[sim:([a-z]+)(-once)?:([a-z0-9_]+)\]\]")


class Faults:
    """The armed faults. A marker in a prompt, ``[[sim:paid:half]]``, goes before them."""

    def __init__(self) -> None:
        self.armed: dict[str, Amount] = {}
        self._uses: Counter[str] = Counter()

    def arm(self, name: str, value: Any) -> None:
        """Arm ``submit_429`` with a count or a probability. Raises ValueError."""
        where, _, kind = name.partition("_")
        if kind not in FAULTS.get(where, ()):
            raise ValueError(f"there is no fault {name!r}")
        self.armed[name] = amount_of(value)

    def draw(self, where: str, prompt: str) -> str:
        """Return the fault of this call at ``submit`` or ``paid``, or "".

        Raises ValueError for a marker that means nothing.
        """
        for place, once, kind in MARKER.findall(prompt):
            if kind not in FAULTS.get(place, ()):
                raise ValueError(f"the simulator does not know the marker [[sim:{place}:{kind}]]")
            if place == where:
                self._uses[f"{where}_{kind} {prompt}"] += 1
                if not once or self._uses[f"{where}_{kind} {prompt}"] == 1:
                    return str(kind)
        for name, amount in self.armed.items():
            if not name.startswith(f"{where}_") or not amount:
                continue
            self._uses[name] += 1
            if isinstance(amount, int):
                self.armed[name] = amount - 1
            elif chance(name, self._uses[name]) >= amount:
                continue
            return name.partition("_")[2]
        return ""
