"""Expected errors: a service raises one, a page shows its message, the API renders it all.

Each app defines its own subclasses, next to the services that raise them::

    DomainError
    ├── BadRequest            400
    ├── NotPossible           409
    ├── Gone                  410
    ├── TooLarge              413
    ├── UnsupportedMediaType  415
    ├── RangeNotSatisfiable   416
    ├── Invalid               422  with an error for each field
    ├── RateLimited           429
    ├── Unavailable           503
    └── OutOfSpace            507  (core.storage.disk)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """A problem with one value.

    ``field`` is its name or path (``params.prompt``); "" means the values as a whole.
    """

    field: str
    message: str


class DomainError(Exception):
    """An expected error.

    ``status`` is its HTTP status, ``error`` a stable word for programs ("" for the standard word of
    the status), ``message`` a translated sentence for people ("" for the standard sentence),
    ``errors`` the problems of single fields, ``headers`` additional headers of the response.
    """

    status = 500
    error = ""

    def __init__(
        self,
        message: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        error: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.status = self.status if status is None else status
        self.error = self.error if error is None else error

    def __str__(self) -> str:
        return self.message or "; ".join(f"{error.field}: {error.message}" for error in self.errors[:5]) or self.error

    @property
    def request_errors(self) -> Sequence[FieldError]:
        """The problems, with the paths that the fields have in a request to the API."""
        return self.errors


class BadRequest(DomainError):
    """The request cannot be read."""

    status = 400


class NotPossible(DomainError):
    """The action is not possible in the current state.

    The message says why and what to do instead.
    """

    status = 409


class Gone(DomainError):
    """The object existed and was removed on purpose."""

    status = 410


class TooLarge(DomainError):
    """The request body is larger than allowed."""

    status = 413


class UnsupportedMediaType(DomainError):
    """The request body has another content type than the operation reads."""

    status = 415


class RangeNotSatisfiable(DomainError):
    """The file has no bytes in the requested range.  ``size`` is its length in bytes."""

    status = 416

    def __init__(self, size: int) -> None:
        super().__init__(headers={"Content-Range": f"bytes */{size}"})


class Invalid(DomainError):
    """Some values are invalid.  ``errors`` holds every problem, not only the first."""

    status = 422

    def __init__(self, errors: Sequence[FieldError], message: str = "") -> None:
        super().__init__(message, errors=errors)


class RateLimited(DomainError):
    """The caller sends too many requests."""

    status = 429


class Unavailable(DomainError):
    """The service cannot answer now, but may soon."""

    status = 503
