"""Is everything well that this program needs, and if not: what mends it?  Spends nothing, and leaves nothing behind."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import checks
from django.core.checks import CheckMessage
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from operations import readiness
from providers import provider_accounts
from providers.adapters.errors import ProviderError
from providers.adapters.http import TransportFailure, glance
from providers.models import ProviderAccount
from workers import queue

LONGEST_WAIT = timedelta(seconds=30)  # of a message, while workers run
CLOCK_TOLERANCE = timedelta(seconds=30)
LEAST_FREE_BYTES = 5 * 1024**3
GIGABYTE = 1024**3


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """``remedy``: what mends it; "" where nothing has to be."""

    part: str
    level: Level
    message: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Every part, one after the other.  No message holds a key or a password."""
    yield from _settings()
    database = list(_database())
    yield from database
    if not any(finding.level is Level.FAIL for finding in database):
        yield from _broker()
        yield from _accounts()
        yield from _clocks()
    yield from _storage()
    yield from _public_address()


def _settings() -> Iterator[Finding]:
    """What `manage.py check` finds, and with https what is due there."""
    found = [
        message for message in checks.run_checks(include_deployment_checks=settings.HTTPS_ONLY) if _counts(message)
    ]
    for message in found:
        level = Level.FAIL if message.is_serious() else Level.WARN
        yield Finding("settings", level, f"{message.msg} ({message.id})", message.hint or "")
    if not found:
        yield Finding("settings", Level.OK, "The system checks find nothing.")


def _counts(message: CheckMessage) -> bool:
    return message.level >= checks.WARNING and not message.is_silenced()


# --- Database ---


def _database() -> Iterator[Finding]:
    answer = readiness.database()
    if not answer.is_ok:
        remedy = "Start it, or correct DATABASE_URL; see Upgrade in the operator guide if it is of an older version."
        yield Finding("database", Level.FAIL, answer.message, remedy)
        return
    yield _write()
    if connection.vendor == "sqlite":
        yield _journal()


def _write() -> Finding:
    try:
        with transaction.atomic():
            Session.objects.create(session_key=secrets.token_hex(16), session_data="", expire_date=timezone.now())
            transaction.set_rollback(True)
    except DatabaseError as error:
        remedy = "Give this user the right to write, and the disk room."
        return Finding("database", Level.FAIL, f"It cannot be written: {type(error).__name__}.", remedy)
    return Finding("database", Level.OK, f"{connection.vendor} answers, is up to date and can be written.")


def _journal() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = str(cursor.fetchone()[0])
    if mode == "wal":
        return Finding("database", Level.OK, "SQLite keeps a write-ahead log.")
    remedy = "Put DATA_DIR on a local disk: network shares cannot hold one."
    return Finding("database", Level.FAIL, f"SQLite's journal is {mode}, so many workers block each other.", remedy)


# --- Workers and accounts ---


def _broker() -> Iterator[Finding]:
    workers = readiness.workers()
    level = Level.OK if workers.is_ok else Level.WARN
    yield Finding("workers", level, workers.message, "" if workers.is_ok else "Start manage.py workers, or make serve.")
    count, oldest = queue.backlog(timezone.now())
    told = f"{count} messages wait, the oldest for {oldest.total_seconds():.0f} s."
    if not workers.is_ok or oldest < LONGEST_WAIT:
        yield Finding("broker", Level.OK, told)
    else:
        yield Finding("broker", Level.WARN, told, "Look into the workers' log; restart them if nothing moves.")


def _accounts() -> Iterator[Finding]:
    accounts = list(ProviderAccount.objects.filter(is_enabled=True).order_by("pk"))
    if not accounts:
        yield Finding("provider", Level.WARN, "There is no account in use.", "Start the workers once: they make one.")
    for account in accounts:
        yield _account(account)


def _account(account: ProviderAccount) -> Finding:
    part = f"provider {account.name}"
    if not provider_accounts.has_key(account):
        remedy = "Put RUNNINGHUB_API_KEY into .env. Until then make serve uses the simulator."
        return Finding(part, Level.WARN, "No key is set: nothing can be spent.", remedy)
    try:
        status = provider_accounts.connect(account).check_account()
    except ProviderError as error:
        return Finding(part, Level.FAIL, str(error), "Check the key, the address and the network.")
    if account.paused_at:
        remedy = f"Remove the cause, then: manage.py accounts resume {account.name}"
        return Finding(part, Level.WARN, f"The key works, but it is paused: {account.pause_reason}", remedy)
    balance = "not told" if status.balance is None else f"{status.balance} {status.currency}".strip()
    return Finding(part, Level.OK, f"The key works. Balance: {balance}.")


# --- Clocks ---


def _clocks() -> Iterator[Finding]:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            yield _clock("database", cursor.fetchone()[0])
    for address in sorted({provider_accounts.address(row) for row in ProviderAccount.objects.all()}):
        try:
            seen = glance(address)
        except TransportFailure:
            continue  # the account's own line says so
        if seen.date:
            yield _clock("provider", seen.date)


def _clock(whose: str, theirs: datetime) -> Finding:
    difference = abs(theirs - timezone.now())
    if difference < CLOCK_TOLERANCE:
        return Finding("clock", Level.OK, f"This machine's clock agrees with that of the {whose}.")
    told = f"This machine's clock is {difference.total_seconds():.0f} s off that of the {whose}."
    return Finding(
        "clock", Level.WARN, told, "Keep clocks right with NTP: timeouts and the expiry of results go by them."
    )


# --- Files, and the way in from outside ---


def _storage() -> Iterator[Finding]:
    for name, what in (("results", "results"), ("default", "uploads")):
        yield _probe(name, f"storage of {what}")
    free = shutil.disk_usage(settings.DATA_DIR).free
    told = f"{free / GIGABYTE:.1f} GB are free for data."
    remedy = "" if free > LEAST_FREE_BYTES else "Make room: manage.py cleanup shows what may go."
    yield Finding("disk", Level.WARN if remedy else Level.OK, told, remedy)


def _probe(name: str, part: str) -> Finding:
    storage, content = storages[name], secrets.token_bytes(16)
    try:
        saved = storage.save(f"probe-{secrets.token_hex(8)}", ContentFile(content))
        try:
            with storage.open(saved) as file:
                is_same = file.read() == content
        finally:
            storage.delete(saved)
    except OSError as error:
        remedy = (
            f"Give this user the right to write {storage.location}."
            if isinstance(storage, FileSystemStorage)
            else "Check STORAGE_URL and its keys: they must be allowed to list, get, put and delete objects of the bucket."
        )
        return Finding(part, Level.FAIL, f"It cannot be used: {error.strerror or type(error).__name__}.", remedy)
    if not is_same:
        return Finding(part, Level.FAIL, "What was read is not what was written.", "Check the disk.")
    return Finding(part, Level.OK, "A file was written, read and deleted.")


def _public_address() -> Iterator[Finding]:
    if not settings.PUBLIC_BASE_URL:
        yield Finding("public address", Level.OK, "PUBLIC_BASE_URL is not set: polling alone, no webhooks.")
        return
    remedy = "Start the web process, and let the proxy lead there. Polling goes on meanwhile."
    try:
        status = glance(f"{settings.PUBLIC_BASE_URL}/api/v1/health").status
    except TransportFailure as failure:
        yield Finding("public address", Level.WARN, f"PUBLIC_BASE_URL cannot be reached from here: {failure}.", remedy)
        return
    if status == 200:
        yield Finding("public address", Level.OK, "PUBLIC_BASE_URL leads here.")
    else:
        yield Finding("public address", Level.WARN, f"PUBLIC_BASE_URL answers {status}.", remedy)
