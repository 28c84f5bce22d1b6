"""The application for ASGI servers (uvicorn)."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runninghub_batch.settings")
application = get_asgi_application()
