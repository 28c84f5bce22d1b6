"""The errors of the client.  A mission whose items failed is no error: see ``Mission.counts``.

Error                    ``may_be_done`` says whether the server may have carried out the request
├── ApiError             the server answered with an error
│   ├── Unauthenticated  401
│   ├── Forbidden        403
│   ├── NotFound         404  or not yours
│   ├── Conflict         409
│   │   └── NotStored         the file is still being downloaded from the provider
│   ├── Gone             410  deleted by retention, or lost
│   ├── Invalid          422  ``problems`` names each field
│   ├── RateLimited      429
│   └── ServerError      5xx
└── ConnectionFailed     no answer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runninghub_batch_client.types import Problem


class Error(Exception):
    """The base of all errors of this package.

    ``may_be_done``: the server may have carried out the request, because it did not answer one of
    the attempts or answered with a 5xx.
    """

    may_be_done = False


class ConnectionFailed(Error):
    """The server did not answer, also not to repetitions where those are safe."""

    def __init__(self, message: str, *, may_be_done: bool) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done


class ApiError(Error):
    """The server answered with an error.

    ``status`` is the HTTP status, ``error`` a stable word, ``message`` a sentence for people,
    ``problems`` the errors of single fields, ``request_id`` the name of the request in the server's
    log, ``retry_after`` seconds to wait if the server named them.
    """

    def __init__(self, status: int, body: Mapping[str, Any], *, request_id: str, retry_after: float | None) -> None:
        self.status = status
        self.error = str(body.get("error") or "")
        self.message = str(body.get("message") or f"The server answered {status}.")
        self.problems = [Problem(problem["field"], problem["message"]) for problem in body.get("errors") or []]
        self.request_id = str(body.get("request_id") or request_id)
        self.retry_after = retry_after
        details = "".join(f"\n  {problem.field}: {problem.message}" for problem in self.problems)
        super().__init__(f"{self.message} ({self.error or status}, request {self.request_id}){details}")


class Unauthenticated(ApiError):
    """The token is missing, wrong, expired or revoked."""


class Forbidden(ApiError):
    """The token may not do this."""


class NotFound(ApiError):
    """It does not exist, or belongs to somebody else."""


class Conflict(ApiError):
    """Not possible in the current state."""


class NotStored(Conflict):
    """The file is still being downloaded from the provider."""


class Gone(ApiError):
    """The file was deleted by retention, or lost."""


class Invalid(ApiError):
    """Some values are invalid.  Nothing was stored or charged."""


class RateLimited(ApiError):
    """Too many requests."""


class ServerError(ApiError):
    """The server failed, or is not available.  The request may have been carried out."""


BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: RateLimited,
}
BY_WORD: dict[str, type[ApiError]] = {"output_not_stored": NotStored}
