"""The real settings, with everything that lasts put aside."""

import os
import tempfile
from pathlib import Path

os.environ["READ_DOT_ENV"] = "0"  # whatever a person has set for real use stays out of the tests

os.environ["STORAGE_URL"] = ""  # nor does a test, or a process that it starts, touch a bucket of theirs

os.environ["MIN_FREE_DISK_MB"] = "0"  # however little the machine of the tests has

from core.storage.config import storages_of
from runninghub_batch.settings import *  # noqa: F403
from runninghub_batch.settings import DATABASES, STORAGES

DATA_DIR = Path(tempfile.mkdtemp(prefix="runninghub-batch-tests-"))
MEDIA_ROOT = DATA_DIR / "uploads"
RESULTS_ROOT = DATA_DIR / "results"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir()  # WhiteNoise warns of one that does not exist
STORAGES = STORAGES | {
    **storages_of("", RESULTS_ROOT),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SECRET_KEY = "tests"
RUNNINGHUB_API_KEY = ""
API_REQUESTS_PER_MINUTE = 0  # each test's first token has the same id
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "core.db.sqlite":
    DATABASES["default"]["TEST"] = {
        "NAME": str(DATA_DIR / "test.sqlite3")
    }  # a file, so that other processes can open it
