"""All options in one table, which flags, the control API and the documentation read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def option(default: Any, meaning: str) -> Any:
    factory = (lambda: dict(default)) if isinstance(default, dict) else (lambda: default)
    return dataclasses.field(default_factory=factory, metadata={"help": meaning})


@dataclasses.dataclass
class Options:
    seed: int = option(0, "makes jitter and probabilities repeatable")
    cap: int = option(50, "unfinished tasks that one API key may have")
    cap_code: str = option("421", "code of the refusal when the cap is reached (421 or 1520)")
    strict: bool = option(True, "refuse missing fields on the four main endpoints (1007)")
    endpoints: str = option("", "comma list of endpoints that exist; empty: any with a slash in it")

    task_seconds: float = option(5.0, "how long a task takes")
    task_jitter: float = option(0.2, "± fraction of task_seconds, the same for the same request")
    queued_share: float = option(0.1, "first part of a task's time in which it is QUEUED")
    results: int = option(1, "files per task")
    ends_in_answer: bool = option(False, "the answer to a submit tells the end of a task that has ended by then")
    submit_latency: float = option(0.0, "seconds before a submit is looked at; the task starts when the answer leaves")
    query_latency: float = option(0.0, "seconds before a query, status, cancel or price answer")
    upload_latency: float = option(0.0, "seconds before an upload answer")

    price: dict[str, str] = option(  # noqa: RUF009 - it returns a field
        {"image": "0.05", "video": "0.20", "text": "0.02"}, "price by kind or by endpoint"
    )
    balance: str = option("1000.00", "money before the first task; only shown, never enforced")
    currency: str = option("CNY", "currency of price and balance")

    slow_seconds: float = option(5.0, "over how long the *_slow faults spread an answer")
    retry_after: int = option(1, "Retry-After header of simulated 429 and 503 answers")
    url_seconds: float = option(86400.0, "how long after its task's end a result URL works")
    upload_max_bytes: int = option(30 * 1024 * 1024, "larger uploads are refused (809)")
    webhook_tries: int = option(3, "deliveries tried before a webhook is given up")
    webhook_wait: float = option(2.0, "seconds between those tries")
    webhook_delay: float = option(5.0, "by how much the webhook_late fault delays")

    image_side: int = option(768, "long side of pictures, in pixels")
    clip_side: int = option(512, "long side of clips, in pixels")
    clip_seconds: float = option(1.0, "length of clips")

    def change(self, name: str, value: Any) -> None:
        """Set one option from JSON or text; a map is updated.  Raises ValueError for a bad one."""
        if name not in NAMES:
            raise ValueError(f"there is no option {name!r}")
        before = getattr(self, name)
        if isinstance(before, dict):
            if not isinstance(value, Mapping):
                raise ValueError(f"expected a map of names to values, not {value!r}")
            setattr(self, name, before | {str(key): str(amount) for key, amount in value.items()})
            return
        try:
            setattr(self, name, _TRUTHS[str(value).lower()] if isinstance(before, bool) else type(before)(value))
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{name} must be of type {type(before).__name__}, not {value!r}") from None

    def price_of(self, endpoint: str, kind: str) -> str:
        return self.price.get(endpoint) or self.price[kind]

    def knows(self, endpoint: str) -> bool:
        return endpoint in self.endpoints.split(",") if self.endpoints else "/" in endpoint


NAMES = [field.name for field in dataclasses.fields(Options)]
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
