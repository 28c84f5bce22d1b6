"""The JSON API: its conventions, and where each router is mounted.

An operation returns its plain payload and raises domain errors.  The envelope, the error body (``errors.py``), who is
calling (``auth.py``) and what is documented (``openapi.py``) are decided here, once.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Swagger
from ninja.errors import ValidationError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.renderers import JSONRenderer
from pydantic_core import from_json

from accounts.authentication import BearerToken, Session
from core.api import errors, idempotency, openapi
from core.api.errors import BAD_JSON
from core.api.throttling import PerCaller
from core.errors import BadRequest, FieldError, Invalid, UnsupportedMediaType
from core.version import VERSION

# Only a body with one of these can hold a NUL character or a number that becomes infinite.
# (The look behind lets a run of digits be read once, not anew from each of its digits.)
_SUSPICIOUS = re.compile(rb"\\u0000|[0-9][eE]\+?[0-9]{3}|(?<![0-9])[0-9]{300}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Envelope(JSONRenderer):
    """``{"code": 0, "data": …}`` around what an operation returns."""

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return self.wrap(data)

    def wrap(self, data: Any) -> bytes:
        text = json.dumps({"code": 0, "data": data}, cls=self.encoder_class, ensure_ascii=False)
        return text.encode("utf-8", "replace")


class StrictParser(Parser):
    """Lets in only JSON that every database can keep: no halves of surrogate pairs, no NUL, no infinite numbers."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type not in ("application/json", ""):
            raise UnsupportedMediaType
        value = from_json(request.body, allow_inf_nan=False)
        if _SUSPICIOUS.search(request.body):
            _refuse_unstorable(value)
        if not isinstance(value, dict):  # django-ninja would look for a schema's fields among the attributes of a list
            raise Invalid([FieldError("body", _("Send a JSON object."))])
        return value

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> Any:
        for name, values in data.lists():
            if any(isinstance(value, str) and _UNSTORABLE.search(value) for value in values):
                raise Invalid([FieldError(name, _("Contains characters that cannot be stored."))])
        return super().parse_querydict(data, list_fields, request)


class Api(NinjaAPI):
    """django-ninja with our conventions."""

    def __init__(self, urls_namespace: str) -> None:
        envelope = Envelope()
        self._schema: OpenAPISchema | None = None
        super().__init__(
            title="RunningHub Batch",
            version=VERSION,
            description=openapi.DESCRIPTION,
            urls_namespace=urls_namespace,
            docs=Swagger({"validatorUrl": None, "persistAuthorization": True}),  # no request leaves this host
            auth=[BearerToken(), Session()],
            throttle=PerCaller(),
            renderer=envelope,
            parser=StrictParser(),
        )
        self.add_decorator(idempotency.claimed(envelope.wrap))
        self.add_decorator(idempotency.settled, mode="view")

    def on_exception(self, request: HttpRequest, exc: Any) -> HttpResponse:
        return errors.respond_to(request, exc)

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Ninja's, with places that are those of the request: the name of the function's argument is not in them."""
        found = []
        for context in error_contexts:
            argument = getattr(context.model, "__read_from_single_attr__", None)
            for error in super().validation_error_from_error_contexts([context]).errors:
                place = error["loc"]
                found.append(error | {"loc": place[:1] + place[2:] if place[1:2] == (argument,) else place})
        return ValidationError(found)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """The same for everybody, and made once: it takes a tenth of a second."""
        if self._schema is None:
            self._schema = openapi.complete(super().get_openapi_schema(**options))
        return self._schema


def _refuse_unstorable(value: Any) -> None:
    """Raises BadRequest for a text with a NUL character, or an infinite number, anywhere inside."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_unstorable(name)
            _refuse_unstorable(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unstorable(inner)
    elif _UNSTORABLE.search(value) if isinstance(value, str) else isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(_("The body contains a NUL character or an infinite number."), error=BAD_JSON)


api = Api(urls_namespace="api")
api.add_router("/missions", "missions.api.missions.router")
api.add_router("/missions", "missions.api.items.router")
api.add_router("/missions", "missions.api.outputs.router")
api.add_router("/missions", "missions.api.results.router")
api.add_router("/missions", "missions.api.events.router")
api.add_router("/templates", "templates_app.api.router")
api.add_router("/media", "media.api.router")
api.add_router("", "providers.api.router")
api.add_router("/me", "accounts.api.router")
api.add_router("/queue", "missions.api.queue.router")
api.add_router("", "operations.api.router")
