"""The factory of our JSON APIs.

An operation returns its plain payload and raises domain errors.  The envelope, the error format,
authentication and the documented schema are arguments, so that several APIs can share the rest:
strict JSON, idempotency, throttling.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Swagger
from ninja.errors import ValidationError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.renderers import JSONRenderer
from ninja.throttling import BaseThrottle
from pydantic_core import from_json

from core.api import errors, idempotency, openapi, query_names
from core.api.errors import BAD_JSON
from core.api.throttling import PerCaller
from core.errors import BadRequest, FieldError, Invalid, UnsupportedMediaType
from core.version import VERSION

# Only a body with one of these can hold a NUL character or a number that becomes infinite.  The
# lookbehind lets a run of digits be scanned once instead of from each of its digits.
_SUSPICIOUS = re.compile(rb"\\u0000|[0-9][eE]\+?[0-9]{3}|(?<![0-9])[0-9]{300}")
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def standard_envelope(payload: Any) -> Any:
    """Return ``{"code": 0, "data": payload}``."""
    return {"code": 0, "data": payload}


class Api(NinjaAPI):
    """A django-ninja API with our conventions.

    ``envelope`` wraps the payload of a success, ``respond_to`` makes the response to an exception,
    ``complete_schema`` adds both to the documented schema.  ``auth`` are tried in order.
    """

    def __init__(
        self,
        *,
        urls_namespace: str,
        title: str,
        description: str,
        auth: Sequence[Callable[[HttpRequest], Any]],
        throttle: BaseThrottle | None = None,
        envelope: Callable[[Any], Any] = standard_envelope,
        respond_to: Callable[[HttpRequest, BaseException], HttpResponse] = errors.respond_to,
        complete_schema: Callable[[OpenAPISchema], OpenAPISchema] = openapi.complete,
    ) -> None:
        self._respond_to = respond_to
        self._complete_schema = complete_schema
        self._schema: OpenAPISchema | None = None
        renderer = EnvelopeRenderer(envelope)
        super().__init__(
            title=title,
            version=VERSION,
            description=description,
            urls_namespace=urls_namespace,
            servers=[{"url": settings.PUBLIC_BASE_URL or "/"}],
            docs=Swagger({"validatorUrl": None, "persistAuthorization": True}),  # sends nothing to other hosts
            auth=list(auth),
            throttle=throttle or PerCaller(),
            renderer=renderer,
            parser=StrictParser(),
        )
        self.add_decorator(idempotency.claim_key(renderer.encode))
        self.add_decorator(query_names.refuse_unknown)
        self.add_decorator(query_names.note_names, mode="view")
        self.add_decorator(idempotency.store_response, mode="view")

    def on_exception(self, request: HttpRequest, exc: Any) -> HttpResponse:
        return self._respond_to(request, exc)

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Return django-ninja's error, its paths without the name of the function's argument.

        A value in a list of the query has the list's name, which may be given several times.
        """
        problems = []
        for context in error_contexts:
            argument = getattr(context.model, "__read_from_single_attr__", None)
            names = getattr(context.model, "__ninja_flatten_map_reverse__", {})
            for error in super().validation_error_from_error_contexts([context]).errors:
                path = error["loc"]
                path = path[:1] + names.get(path[1:-1], path[1:])
                problems.append(error | {"loc": path[:1] + path[2:] if path[1:2] == (argument,) else path})
        return ValidationError(problems)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the name of the operation's function, which is unique in the API."""
        return str(operation.view_func.__name__)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Return the schema.

        It is built once (a tenth of a second) and is the same for everybody.
        """
        if self._schema is None:
            self._schema = self._complete_schema(super().get_openapi_schema(**options))
        return self._schema


class EnvelopeRenderer(JSONRenderer):
    """Encodes a payload inside the envelope of the API."""

    def __init__(self, envelope: Callable[[Any], Any]) -> None:
        self._envelope = envelope

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return self.encode(data)

    def encode(self, payload: Any) -> bytes:
        text = json.dumps(self._envelope(payload), cls=self.encoder_class, ensure_ascii=False)
        return text.encode("utf-8", "replace")


class StrictParser(Parser):
    """Accepts only JSON that every database stores: no lone surrogates, NUL or infinite numbers."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type not in ("application/json", ""):
            raise UnsupportedMediaType
        value = from_json(request.body, allow_inf_nan=False)
        if _SUSPICIOUS.search(request.body):
            _require_storable(value)
        if not isinstance(value, dict):  # django-ninja would look for a schema's fields among the attributes of a list
            raise Invalid([FieldError("body", _("Send a JSON object."))])
        return value

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> Any:
        if data is request.POST and request.content_type not in FORMS:
            raise UnsupportedMediaType(_("Send a form: Content-Type: multipart/form-data."))
        for name, values in data.lists():
            if any(isinstance(value, str) and _UNSTORABLE.search(value) for value in values):
                raise Invalid([FieldError(name, _("Contains characters that cannot be stored."))])
        return super().parse_querydict(data, list_fields, request)


def _require_storable(value: Any) -> None:
    """Raise BadRequest for a text with a NUL character, or an infinite number, anywhere inside."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _require_storable(name)
            _require_storable(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_storable(inner)
    elif _UNSTORABLE.search(value) if isinstance(value, str) else isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(_("The body contains a NUL character or an infinite number."), error=BAD_JSON)
