"""System checks: bad settings are reported at the start, with a hint, and not at run time.

E001  a provider's number of tasks at once is below 1
E002  Q_WORKERS is below 1
E003  POLL_FLOOR_SECONDS is not above 0
E004  PUBLIC_BASE_URL is not a valid URL
E005  DEFAULT_MODELS names a wrong model
E006  RESULTS_ALLOWED_HOSTS or NOTIFICATION_ALLOWED_HOSTS contains an invalid host
E007  the catalogue cannot be loaded
E008  DATA_DIR cannot be written
E009  a limit of the API is out of range
E010  ENCRYPTION_KEYS has an invalid key
E011  a RETENTION_ setting is below 0
E012  LOG_FORMAT is neither text nor json
E013  FAILURE_BREAKER_ITEMS is below 0
E014  STORAGE_URL needs a package that is not installed
E016  a provider's time limit is below 1 second
E017  a price of the chat server is not a price
E018  a provider's base URL is not a web address
E019  MEDIA_MAX_PIXELS is out of range
E023  MIN_FREE_DISK_MB is below 0
E024  BACKUP_MAX_AGE_DAYS is below 0
E025  EMAIL_HOST is set without a sender, or with two kinds of TLS
W001  SECRET_KEY is the public default
W002  Q_WORKERS is 1
W003  POLL_FLOOR_SECONDS is low for a remote server
W004  a stored API key cannot be read
W007  only one of the two prices of the chat server is set
W020  METRICS_TOKEN is easy to guess
I001  no API key: nothing can be spent
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.db import DatabaseError

from providers import catalog, encryption, provider_accounts
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount

POLITE_POLL_FLOOR_SECONDS = 0.5
MIN_BODY_BYTES = 64 * 1024
MIN_TOKEN_LENGTH = 20
MIN_PIXELS, MAX_PIXELS = 1_000_000, 89_000_000  # Pillow warns of more
_HOST = re.compile(r"(?P<name>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?")


@checks.register()
def check_numbers(**_: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if settings.LOG_FORMAT not in ("text", "json"):
        messages.append(checks.Error("LOG_FORMAT is neither text nor json.", hint="Leave it out.", id="missions.E012"))
    for name in [name for name in dir(settings) if name.startswith("RETENTION_")]:
        if getattr(settings, name) < 0:
            hint = "Set the number of days to keep it; 0 keeps it forever."
            messages.append(checks.Error(f"{name} is below 0.", hint=hint, id="missions.E011"))
    if settings.FAILURE_BREAKER_ITEMS < 0:
        hint = "Set after how many equal failures in a row a mission is paused; 0 means never."
        messages.append(checks.Error("FAILURE_BREAKER_ITEMS is below 0.", hint=hint, id="missions.E013"))
    if settings.MIN_FREE_DISK_MB < 0:
        hint = "Set how many megabytes stay free for results; 0 turns this off."
        messages.append(checks.Error("MIN_FREE_DISK_MB is below 0.", hint=hint, id="missions.E023"))
    if settings.BACKUP_MAX_AGE_DAYS < 0:
        hint = "Set after how many days doctor warns of an old backup; 0 means never."
        messages.append(checks.Error("BACKUP_MAX_AGE_DAYS is below 0.", hint=hint, id="missions.E024"))
    if not MIN_PIXELS <= settings.MEDIA_MAX_PIXELS <= MAX_PIXELS:
        text = f"MEDIA_MAX_PIXELS must be from {MIN_PIXELS} to {MAX_PIXELS}."
        hint = "Leave it out for 80000000. Decoding takes 4 bytes of memory for each pixel."
        messages.append(checks.Error(text, hint=hint, id="missions.E019"))
    if settings.Q_WORKERS < 1:
        messages.append(checks.Error("Q_WORKERS must be at least 1.", hint="Leave it out for 50.", id="missions.E002"))
    elif settings.Q_WORKERS == 1:
        messages.append(
            checks.Warning(
                "With one worker, a slow download delays every submission and every poll.",
                hint="Set Q_WORKERS to 2 or more; the default of 50 is cheap.",
                id="missions.W002",
            )
        )
    return messages


@checks.register()
def check_providers(**_: Any) -> list[CheckMessage]:
    """Check the settings that every provider may have, then the prices of the chat server."""
    messages: list[CheckMessage] = []
    for kind in PROVIDERS.values():
        values = {field: getattr(settings, name) for field, name in kind.environment.items()}
        concurrency, seconds, base_url = map(values.get, ("concurrency", "submit_limit_seconds", "base_url"))
        if concurrency is not None and concurrency < 1:
            text = f"{kind.environment['concurrency']} must be at least 1."
            hint = f"Leave it out. To stop: manage.py provider_accounts pause {kind.account_name}."
            messages.append(checks.Error(text, hint=hint, id="missions.E001"))
        if seconds is not None and seconds < 1:
            text = f"{kind.environment['submit_limit_seconds']} must be at least 1."
            messages.append(checks.Error(text, hint="Leave it out.", id="missions.E016"))
        if base_url and not _is_web_address(base_url):
            text = f"{kind.environment['base_url']} is not a web address."
            hint = "Set scheme, host and path, such as https://api.openai.com/v1."
            messages.append(checks.Error(text, hint=hint, id="missions.E018"))
    for name in ("CHAT_INPUT_PRICE", "CHAT_OUTPUT_PRICE"):
        text = getattr(settings, name)
        try:
            is_price = not text or (Decimal(text).is_finite() and Decimal(text) >= 0)
        except InvalidOperation:
            is_price = False
        if not is_price:
            hint = "Set USD per million tokens, such as 0.15, or leave it out."
            messages.append(checks.Error(f"{name} is not a price.", hint=hint, id="missions.E017"))
    if bool(settings.CHAT_INPUT_PRICE) != bool(settings.CHAT_OUTPUT_PRICE):
        hint = "Set the other one as well, or neither. A price of 0 is allowed."
        text = "Only one of CHAT_INPUT_PRICE and CHAT_OUTPUT_PRICE is set: the cost of chats is unknown."
        messages.append(checks.Warning(text, hint=hint, id="missions.W007"))
    return messages


@checks.register()
def check_api_limits(**_: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if settings.API_REQUESTS_PER_MINUTE < 0:
        hint = "Set how many requests one token may make in a minute; 0 for no limit."
        messages.append(checks.Error("API_REQUESTS_PER_MINUTE is below 0.", hint=hint, id="missions.E009"))
    if settings.API_MAX_BODY_BYTES < MIN_BODY_BYTES:
        hint = f"Set it to {MIN_BODY_BYTES} or more; a mission of 50,000 prompts needs about 10 MB."
        messages.append(checks.Error("API_MAX_BODY_BYTES is too small.", hint=hint, id="missions.E009"))
    return messages


@checks.register()
def check_polling(**_: Any) -> list[CheckMessage]:
    floor = settings.POLL_FLOOR_SECONDS
    if not floor > 0:
        return [checks.Error("POLL_FLOOR_SECONDS must be above 0.", hint="Leave it out for 2.0.", id="missions.E003")]
    kinds = [kind for kind in PROVIDERS.values() if "poll_floor_seconds" in kind.environment]
    is_remote = not all(_is_loopback(provider_accounts.environment_address(kind)) for kind in kinds)
    if floor < POLITE_POLL_FLOOR_SECONDS and is_remote:
        return [
            checks.Warning(
                f"Each task may be polled every {floor} seconds, which a remote server may refuse.",
                hint=f"Set POLL_FLOOR_SECONDS to {POLITE_POLL_FLOOR_SECONDS} or more; lower values are for the simulator.",
                id="missions.W003",
            )
        ]
    return []


@checks.register()
def check_public_base_url(**_: Any) -> list[CheckMessage]:
    url = settings.PUBLIC_BASE_URL
    if not url or _is_web_address(url):
        return []
    return [
        checks.Error(
            f"PUBLIC_BASE_URL is not usable: {url!r}.",
            hint="Use scheme and host, such as https://batch.example.com. Leave it empty to work without webhooks.",
            id="missions.E004",
        )
    ]


@checks.register()
def check_mail(**_: Any) -> list[CheckMessage]:
    if not settings.EMAIL_HOST:
        return []
    messages: list[CheckMessage] = []
    if "@" not in settings.DEFAULT_FROM_EMAIL:
        hint = "Set DEFAULT_FROM_EMAIL to the address that the mails come from."
        messages.append(checks.Error("The mails of EMAIL_HOST have no sender.", hint=hint, id="missions.E025"))
    if settings.EMAIL_USE_SSL and settings.EMAIL_USE_TLS:
        hint = "Set one of them to false: SSL is usual for port 465, TLS for port 587."
        messages.append(checks.Error("EMAIL_USE_SSL and EMAIL_USE_TLS are both on.", hint=hint, id="missions.E025"))
    return messages


@checks.register()
def check_encryption_keys(**_: Any) -> list[CheckMessage]:
    if all(encryption.is_key(key) for key in settings.ENCRYPTION_KEYS):
        return []
    return [
        checks.Error(
            "ENCRYPTION_KEYS contains an invalid encryption key.",
            hint="Create one: manage.py provider_accounts new-key --skip-checks. Separate several by commas.",
            id="missions.E010",
        )
    ]


@checks.register(checks.Tags.database)  # run by `migrate` and `check --database default`
def check_stored_keys(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    try:
        accounts = list(ProviderAccount.objects.exclude(sealed_key="")) if databases else []
    except DatabaseError:
        return []  # not yet migrated
    return [
        checks.Warning(
            f"The API key of the account {account.name!r} cannot be read, so the account cannot be used.",
            hint="Put the encryption key that encrypted it back into ENCRYPTION_KEYS, or enter the API key again.",
            id="missions.W004",
        )
        for account in accounts
        if not provider_accounts.can_read_key(account)
    ]


@checks.register()
def check_allowed_hosts(**_: Any) -> list[CheckMessage]:
    return [
        checks.Error(
            f"{name} contains {entry!r}, which is not a host.",
            hint="Use host or host:port, separated by commas, without a scheme: 127.0.0.1:9100,files.internal",
            id="missions.E006",
        )
        for name in ("RESULTS_ALLOWED_HOSTS", "NOTIFICATION_ALLOWED_HOSTS")
        for entry in getattr(settings, name)
        if not _is_host(entry)
    ]


@checks.register()
def check_catalogue(**_: Any) -> list[CheckMessage]:
    try:
        catalog.all_models()
    except catalog.CatalogError as error:
        return [
            checks.Error(
                f"The model catalogue: {error}.", hint="See docs/models.md for its format.", id="missions.E007"
            )
        ]
    messages: list[CheckMessage] = []
    for task_type, endpoint in settings.DEFAULT_MODELS.items():
        if catalog.find_default(task_type) is None:
            fitting = [model.endpoint for model in catalog.all_models(task_type)]
            messages.append(
                checks.Error(
                    f"DEFAULT_MODEL_{task_type.upper()} names {endpoint!r}, which is no {task_type} model of the catalogue.",
                    hint=f"Choose one of: {', '.join(fitting) or 'none, because the task type is unknown'}.",
                    id="missions.E005",
                )
            )
    return messages


@checks.register()
def check_data_dir(**_: Any) -> list[CheckMessage]:
    folders = [Path(settings.DATA_DIR)]
    if not settings.STORAGE_URL:
        folders += [Path(settings.MEDIA_ROOT), Path(settings.RESULTS_ROOT)]

    def can_write(folder: Path) -> bool:
        """Return True if the folder, or its nearest existing parent, is writable."""
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)

    return [
        checks.Error(
            f"{folder} is not writable.",
            hint="Give this user permission to write to it, or set DATA_DIR to another folder.",
            id="missions.E008",
        )
        for folder in folders
        if not can_write(folder)
    ]


@checks.register()
def check_storage(**_: Any) -> list[CheckMessage]:
    if not settings.STORAGE_URL or find_spec("storages"):
        return []
    hint = 'Run: pip install "django-storages[s3]". Without STORAGE_URL files are kept in DATA_DIR.'
    return [checks.Error("STORAGE_URL needs django-storages and boto3.", hint=hint, id="missions.E014")]


@checks.register()
def check_secret_key(**_: Any) -> list[CheckMessage]:
    if settings.DEBUG or not settings.SECRET_KEY.startswith("insecure-"):
        return []
    return [
        checks.Warning(
            "SECRET_KEY is not set, so the public default signs sessions and worker messages.",
            hint="Run `make setup`, or set SECRET_KEY to 50 random characters, the same for all processes.",
            id="missions.W001",
        )
    ]


@checks.register()
def check_metrics_token(**_: Any) -> list[CheckMessage]:
    if not 0 < len(settings.METRICS_TOKEN) < MIN_TOKEN_LENGTH:
        return []
    return [
        checks.Warning(
            "METRICS_TOKEN is easy to guess.",
            hint=f"Set {MIN_TOKEN_LENGTH} random characters or more, or leave it empty to answer only this machine.",
            id="missions.W020",
        )
    ]


@checks.register(deploy=True)  # `serve` and `provider_accounts` also say it; here, every command would repeat it
def check_api_key(**_: Any) -> list[CheckMessage]:
    if any(provider_accounts.environment_keys().values()):
        return []
    names = ", ".join(provider_accounts.environment_keys(needed_only=True))
    return [
        checks.Info(
            "No API key is set: nothing can be spent.",
            hint=f"`make serve` and `make demo` use the simulator meanwhile. For real results, set one of: {names}.",
            id="missions.I001",
        )
    ]


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and _is_host(parts.netloc)
            and not (parts.query or parts.fragment or re.search(r"\s|//", parts.path))
        )
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 80) < 65536
