"""The application for ASGI servers (uvicorn)."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runninghub_batch.settings")
_django = get_asgi_application()

from missions.provider_webhooks import Receiver  # noqa: E402  it needs the applications to be set up
from runninghub_batch import urls  # noqa: E402, F401  loaded now, so that the first request does not wait for it
from runninghub_batch.limits import BoundedBodies  # noqa: E402
from runninghub_batch.measured import MeasuredRequest  # noqa: E402

# Django runs the synchronous part of each request in a thread of its own that ends with it, and a connection belongs to its
# thread: kept open, no other request would find it again.  Twenty clients filled PostgreSQL's hundred connections so.
for database in settings.DATABASES.values():
    database["CONN_MAX_AGE"] = 0

_django.request_class = MeasuredRequest
application = Receiver(BoundedBodies(_django))
