"""The real settings, with everything that lasts put aside."""

import tempfile
from pathlib import Path

from runninghub_batch.settings import *  # noqa: F403
from runninghub_batch.settings import STORAGES

DATA_DIR = Path(tempfile.mkdtemp(prefix="runninghub-batch-tests-"))
MEDIA_ROOT = DATA_DIR / "uploads"
RESULTS_ROOT = DATA_DIR / "results"
STORAGES = STORAGES | {
    "results": STORAGES["results"] | {"OPTIONS": STORAGES["results"]["OPTIONS"] | {"location": RESULTS_ROOT}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SECRET_KEY = "tests"
RUNNINGHUB_API_KEY = ""
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
