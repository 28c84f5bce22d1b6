"""Settings, read from the environment and from a ``.env`` file beside ``manage.py``.

``.env.example`` lists every name that an operator may set.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from core.storage.config import storages_of

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file() and os.environ.get("READ_DOT_ENV") != "0":  # tests set "0"
    if not os.access(BASE_DIR / ".env", os.R_OK):  # the defaults would mean another database and no key
        raise ImproperlyConfigured(
            f"{BASE_DIR / '.env'} cannot be read by this user. Run this as the user of the workers."
        )
    env.read_env(BASE_DIR / ".env")

# --- Settings of this program ---

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()

RUNNINGHUB_API_KEY: str = env.str("RUNNINGHUB_API_KEY", default="")
RUNNINGHUB_BASE_URL: str = env.str("RUNNINGHUB_BASE_URL", default="https://www.runninghub.cn").rstrip("/")
RUNNINGHUB_CONCURRENCY: int = env.int("RUNNINGHUB_CONCURRENCY", default=50)

# Programs on this server, such as ffmpeg. One task keeps one core busy.
LOCAL_CONCURRENCY: int | None = env.int("LOCAL_CONCURRENCY", default=None)
LOCAL_TIMEOUT_SECONDS: float = env.float("LOCAL_TIMEOUT_SECONDS", default=900.0)
LOCAL_FOLDER = str(DATA_DIR / "local")

# Chat of any OpenAI-compatible server. Without a base URL there is no account.
OPENAI_BASE_URL: str = env.str("OPENAI_BASE_URL", default="").rstrip("/")
OPENAI_API_KEY: str = env.str("OPENAI_API_KEY", default="")
OPENAI_CONCURRENCY: int | None = env.int("OPENAI_CONCURRENCY", default=None)
CHAT_MODEL: str = env.str("CHAT_MODEL", default="")
CHAT_TIMEOUT_SECONDS: float = env.float("CHAT_TIMEOUT_SECONDS", default=600.0)
# Prices of a million tokens in USD. Empty: the cost of a task is not known.
CHAT_INPUT_PRICE: str = env.str("CHAT_INPUT_PRICE", default="")
CHAT_OUTPUT_PRICE: str = env.str("CHAT_OUTPUT_PRICE", default="")

# Encrypt the keys of further accounts: the first key encrypts, all decrypt (providers.encryption).
ENCRYPTION_KEYS: list[str] = env.list("ENCRYPTION_KEYS", default=[])

# The model that a task type uses unless a mission names another: endpoint, or provider:endpoint.
DEFAULT_MODELS: dict[str, str] = {
    task_type: endpoint
    for task_type in ("text_to_image", "image_to_image", "text_to_video", "image_to_video", "text")
    if (endpoint := env.str(f"DEFAULT_MODEL_{task_type.upper()}", default=""))
}

PUBLIC_BASE_URL: str = env.str("PUBLIC_BASE_URL", default="").rstrip("/")
POLL_FLOOR_SECONDS: float = env.float("POLL_FLOOR_SECONDS", default=2.0)
RESULTS_ALLOWED_HOSTS: list[str] = env.list("RESULTS_ALLOWED_HOSTS", default=[])
# Hosts with private addresses to which notifications may be sent all the same.
NOTIFICATION_ALLOWED_HOSTS: list[str] = env.list("NOTIFICATION_ALLOWED_HOSTS", default=[])
RESULTS_MAX_BYTES: int = env.int("RESULTS_MAX_BYTES", default=2 * 1024**3)
# Of an uploaded image. Models take less and get a smaller copy (media.renditions).
MEDIA_MAX_BYTES: int = env.int("MEDIA_MAX_BYTES", default=50 * 1024**2)
MEDIA_MAX_PIXELS: int = env.int("MEDIA_MAX_PIXELS", default=80_000_000)  # decoding takes 3 to 4 bytes for each
API_MAX_BODY_BYTES: int = env.int("API_MAX_BODY_BYTES", default=64 * 1024**2)
API_REQUESTS_PER_MINUTE: int = env.int("API_REQUESTS_PER_MINUTE", default=1200)  # per token; 0: no limit
# Days after which finished data is deleted; 0: never.
RETENTION_MISSIONS_DAYS: int = env.int("RETENTION_MISSIONS_DAYS", default=0)
RETENTION_RESULTS_DAYS: int = env.int("RETENTION_RESULTS_DAYS", default=0)
RETENTION_EVENTS_DAYS: int = env.int("RETENTION_EVENTS_DAYS", default=0)
RETENTION_MEDIA_DAYS: int = env.int("RETENTION_MEDIA_DAYS", default=0)
# With less free space than this on the disk of DATA_DIR, nothing more is submitted; 0: not checked.
MIN_FREE_DISK_MB: int = env.int("MIN_FREE_DISK_MB", default=1024)
BACKUP_MAX_AGE_DAYS: int = env.int("BACKUP_MAX_AGE_DAYS", default=7)  # doctor warns if the last is older; 0: never
RETENTION_AUDIT_DAYS: int = env.int("RETENTION_AUDIT_DAYS", default=0)
RETENTION_DELIVERIES_DAYS: int = env.int("RETENTION_DELIVERIES_DAYS", default=30)
FAILURE_BREAKER_ITEMS: int = env.int("FAILURE_BREAKER_ITEMS", default=20)  # 0: never
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")  # empty: /metrics answers only requests from this machine
MISSION_MAX_ITEMS: int = env.int("MISSION_MAX_ITEMS", default=50_000)

WEB_PROCESSES: int = max(1, env.int("WEB_PROCESSES", default=len(os.sched_getaffinity(0))))  # default: one per core

# --- Django ---

DEBUG: bool = env.bool("DEBUG", default=False)
# `make setup` writes a SECRET_KEY into .env. The default is for commands that sign nothing.
SECRET_KEY: str = env.str("SECRET_KEY", default="insecure-key-for-local-use-only-set-SECRET_KEY")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])

# The host of PUBLIC_BASE_URL is ours, and with https its cookies are sent over https only.
if PUBLIC_BASE_URL:
    ALLOWED_HOSTS.append(urlsplit(PUBLIC_BASE_URL).hostname or "")
    CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(PUBLIC_BASE_URL))]
HTTPS_ONLY: bool = env.bool("HTTPS_ONLY", default=PUBLIC_BASE_URL.startswith("https://"))
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_HSTS_SECONDS: int = env.int("HSTS_SECONDS", default=30 * 24 * 3600 if HTTPS_ONLY else 0)
# Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. With https there is one, by
# default on this machine; without, only a visitor who wants another address would send them.
FORWARDED_ALLOW_IPS: list[str] = env.list(
    "FORWARDED_ALLOW_IPS", default=["127.0.0.1"] if PUBLIC_BASE_URL.startswith("https://") else []
)
if env.bool("TRUST_X_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains and
    "security.W021",  # preload lists are decisions of the domain's owner
]
if HTTPS_ONLY:
    SILENCED_SYSTEM_CHECKS.append("security.W008")  # core.http.middleware.redirect_to_https redirects

ROOT_URLCONF = "runninghub_batch.urls"
ASGI_APPLICATION = "runninghub_batch.asgi.application"
WSGI_APPLICATION = "runninghub_batch.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "core",  # first: its templates override those of Django's admin
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "django_htmx",
    "csp",
    "ninja",  # for the static files of the interactive docs
    "django_q",
    "axes",
    "accounts.audit",
    "accounts",
    "drafts",
    "workers",
    "media",
    "billing",
    "providers",
    "notifications",
    "templates_app",
    "missions",
    "mission_pages",
    "sharing",
    "operations",
    "devtools",
]

MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    "core.http.middleware.request_boundary",
    "core.http.middleware.refuse_nul",
    "accounts.audit.services.remember_request",
    "core.http.middleware.redirect_to_https",
    "django.middleware.security.SecurityMiddleware",
    "core.http.middleware.compress_pages",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.PreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "accounts.middleware.PagePersonMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "core.http.middleware.DeletedMeanwhile",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "core.ui.context.layout",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]

# Lock out an IP after too many failed logins, for any username; a successful login in between does
# not reset the count. The handler also delays sign-ins to one username (accounts.lockout).
AXES_HANDLER = "accounts.lockout.Handler"
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_FAILURE_LIMIT = 20
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.address_of"
AXES_LOCKOUT_CALLABLE = "accounts.lockout.refuse"
AXES_SENSITIVE_PARAMETERS = ["username"]  # people sometimes type their password there
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

CSRF_FAILURE_VIEW = "runninghub_batch.views.csrf_failure"
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "accounts:login"

# Everything comes from this host, and nothing is inline. blob: shows pictures before they are
# uploaded.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "media-src": ["'self'", "blob:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "manifest-src": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}

# Browser programs on other sites that may call the API with a token. Cookies are never accepted
# from them.
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "if-range",
    "last-event-id",
    "range",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = [
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-Id",
]

# Mails of notifications. Without a host there is no channel "E-mail".
EMAIL_HOST: str = env.str("EMAIL_HOST", default="")
EMAIL_PORT: int = env.int("EMAIL_PORT", default=587)
EMAIL_HOST_USER: str = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD: str = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_SSL: bool = env.bool("EMAIL_USE_SSL", default=EMAIL_PORT == 465)
EMAIL_USE_TLS: bool = env.bool("EMAIL_USE_TLS", default=EMAIL_PORT == 587)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default=EMAIL_HOST_USER)

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
FORMAT_MODULE_PATH = ["core.formats"]
LOCALE_PATHS = [BASE_DIR / "runninghub_batch" / "locale"]


# A machine that loses its network must not hold a lock for which all others wait, nor wait for ever
# itself. Both ends notice within half a minute. The server ends a transaction that is idle for a
# minute.
LOST_CONNECTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=25s"
    " -c idle_in_transaction_session_timeout=60s",
}


def _database() -> dict[str, Any]:
    """Return the database of DATABASE_URL; SQLite in DATA_DIR by default.

    SQLite is configured for many writing processes: a write-ahead log, the write lock taken at the
    start of a transaction (so that two cannot deadlock by upgrading), and a long wait for the lock
    (core/db/sqlite).
    """
    database: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["ENGINE"] = "core.db.sqlite"
        Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;",
        }
    else:
        database["CONN_HEALTH_CHECKS"] = True
        database["OPTIONS"] = LOST_CONNECTIONS | database.get("OPTIONS", {})
    database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
    return database


DATABASES = {"default": _database()}

# In the memory of each web process: request counts per caller (core.api.throttling).
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 2000}},
}

DATA_UPLOAD_MAX_MEMORY_SIZE = API_MAX_BODY_BYTES  # Django's default would refuse a mission of 10,000 items

# Not BASE_DIR / "media", which is the app.
MEDIA_ROOT = DATA_DIR / "uploads"
MEDIA_URL = "uploads/"
RESULTS_ROOT = DATA_DIR / "results"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# Empty: MEDIA_ROOT and RESULTS_ROOT. Without the two keys boto3 uses its own files or the machine's
# role.
STORAGE_URL: str = env.str("STORAGE_URL", default="")
AWS_ACCESS_KEY_ID: str | None = env.str("AWS_ACCESS_KEY_ID", default="") or None
AWS_SECRET_ACCESS_KEY: str | None = env.str("AWS_SECRET_ACCESS_KEY", default="") or None
STORAGES: dict[str, Any] = {
    **storages_of(STORAGE_URL, RESULTS_ROOT),
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

# --- django-q2: 50 workers on the ORM broker ---

Q_WORKERS: int = env.int("Q_WORKERS", default=50)
Q_CLUSTER = {
    "name": "runninghub_batch",
    "label": "Task queue",
    "workers": Q_WORKERS,
    "orm": "default",
    "broker_class": "workers.queue.Broker",
    "poll": 0.02,  # seconds between two checks of an idle cluster for messages
    "bulk": 10,  # messages per fetch
    "queue_limit": 20,  # few, because prefetched messages get old
    "save_limit": -1,  # no rows for successes
    "ack_failures": True,  # rows decide what is retried, not the broker
    "max_attempts": 1,
    "recycle": 2000,
    # Tasks have their own time limit (workers.queue); retry must be longer than timeout.
    "timeout": 3600,
    "retry": 3700,
    "log_level": "WARNING",
    "time_zone": "UTC",
    "catch_up": False,
}

LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO")
# JSON for programs; text on a terminal and with DEBUG.
LOG_FORMAT: str = env.str("LOG_FORMAT", default="text" if DEBUG or sys.stderr.isatty() else "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "core.logging.formatters.PlainLines",
            "format": "{asctime} {levelname:<7} {name}{tags} {message}",
            "style": "{",
        },
        "json": {"()": "core.logging.formatters.JsonLines"},
    },
    "filters": {
        "only_exceptions": {"()": "core.logging.filters.OnlyExceptions"},
        "queue_events": {"()": "core.logging.filters.QueueEvents"},
        "one_line": {"()": "core.logging.filters.OneLine"},
        "database_outages": {"()": "core.logging.filters.DatabaseOutages"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if LOG_FORMAT == "json" else "text",
            "filters": ["database_outages"],
        }
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django-q": {"level": "WARNING", "filters": ["queue_events"]},
        # Without its own handlers, its lines look like all others.
        "uvicorn": {"level": LOG_LEVEL, "handlers": [], "propagate": True},
        # The access log is ours (core.logging.access): it names persons and hides secret paths.
        "uvicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
        # Lines without an exception would repeat the access log.
        "django.request": {"level": "ERROR", "filters": ["only_exceptions"]},
        "django.security.DisallowedHost": {"filters": ["one_line"]},
        # urllib3 logs whole URLs at DEBUG, and those of odd answers at WARNING.
        "urllib3": {"level": "INFO"},
        "urllib3.connectionpool": {"level": "ERROR"},
    },
}
