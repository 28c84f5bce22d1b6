"""The JSON API under ``/api/v1``: where each router is mounted.

Its conventions are in ``core.api``.
"""

from __future__ import annotations

from ninja.openapi.schema import OpenAPISchema

from accounts.authentication import BearerToken, Session, document_scopes
from core.api import openapi
from core.api.factory import Api
from notifications.schemas import webhook_messages

TITLE = "RunningHub Batch"
DESCRIPTION = """\
Create, watch, control and collect missions: batches of paid AI generations.

Every success is `{"code": 0, "data": …}`. Every error has its HTTP status and the body `Error`, whose `error` is a stable
word. A token has scopes: `read` for GET, `create` to submit, upload and save, `operate` for everything else; without the
right one the answer is 403 `insufficient_scope`. Times are RFC 3339 in UTC; money is a decimal string with its currency
beside it.
"""


def make_api(urls_namespace: str) -> Api:
    """Return an API with our title, description and authentication, and without operations."""
    auth = [BearerToken(), Session()]
    return Api(
        urls_namespace=urls_namespace, title=TITLE, description=DESCRIPTION, auth=auth, complete_schema=_complete_schema
    )


def _complete_schema(schema: OpenAPISchema) -> OpenAPISchema:
    schema = openapi.complete(schema)
    document_scopes(schema)
    schema["webhooks"] = webhook_messages(schema["components"]["schemas"])
    return schema


api = make_api("api")
api.add_router("/missions", "missions.api.missions.router")
api.add_router("/missions", "missions.api.items.router")
api.add_router("/missions", "missions.api.outputs.router")
api.add_router("/missions", "missions.api.results.router")
api.add_router("/missions", "missions.api.events.router")
api.add_router("/missions", "sharing.api.router")
api.add_router("/results", "missions.api.all_results.router")
api.add_router("/templates", "templates_app.api.router")
api.add_router("/webhooks", "notifications.api.router")
api.add_router("/media", "media.api.router")
api.add_router("", "providers.api.router")
api.add_router("/me", "operations.api.me.router")
api.add_router("/me", "accounts.api.router")
api.add_router("/queue", "operations.api.queue.router")
api.add_router("", "operations.api.health.router")
