"""Results on disk: fetched at once, because providers delete them.

    fetch    stream to a .part file, within a size limit, the way the account's provider says
    inspect  open the file for what it claims to be; measure it; draw its thumbnail or poster
    place    rename (or upload) it under the name that its row decides, then record it

A download that fails costs nothing and is retried until the result expires. Filling slots comes
first: downloads run in threads of low priority, several to a message and to a transaction.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from core.db.reasons import columns
from core.logging.context import about
from core.reasons import Reason
from core.storage import disk
from core.storage.listing import files_below
from media.probe import NotAResult, inspect
from missions import lifecycle, reasons
from missions.models import Attempt, Mission, Output, OutputStatus
from missions.policy import retry
from providers import provider_accounts
from providers.adapters import http
from providers.adapters.base import RemoteOutput, RemoteState
from providers.adapters.errors import AccountBlocked, Unavailable
from workers import bulkhead
from workers.bulkhead import Call

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
PART = ".part"
STORED_PREFIX = "taken-in:"  # begins the address of a result in our own storage
PATIENCE = timedelta(days=7)  # for results that the provider keeps for ever
LEASE = timedelta(seconds=10)  # renewed for as long as it takes, so that a dead worker's download is taken up soon
RENEW_SECONDS = 3.0
BATCH = 4  # downloads that one worker has on the wire at once
LOW_PRIORITY = 15

_inspecting = threading.Lock()  # a picture takes much memory while it is open, so a worker opens one at a time


class DownloadFailed(Exception):
    """This try failed. The message is for people."""


def archive(try_number: int, output_ids: Sequence[int]) -> None:
    """Fetch outputs into the results storage, side by side.

    A message for a try that was already made does nothing. Downloads that were tried before do not
    keep workers from new ones. When too many workers wait for an account, its downloads are left to
    the reaper.
    """
    claimed = lifecycle.claim_downloads(output_ids, try_number=try_number, lease_until=timezone.now() + LEASE)
    outputs: dict[int, list[Output]] = {}
    for output in _read(claimed):
        outputs.setdefault(output.attempt.account_id, []).append(output)
    for account_id, own in outputs.items():
        call = Call.REPEATED_DOWNLOAD if try_number else Call.DOWNLOAD
        with bulkhead.waiting(call, account_id) as is_allowed:
            if is_allowed:
                _fetch_together(own)
            else:
                pending = Output.objects.filter(pk__in=[output.pk for output in own], status=OutputStatus.PENDING)
                pending.update(try_count=try_number, next_try_at=timezone.now() + LEASE)


def _fetch_together(outputs: Sequence[Output]) -> None:
    with ThreadPoolExecutor(max_workers=BATCH, initializer=_lower_priority) as pool:
        waiting = {pool.submit(_fetch, output): output for output in outputs}
        while waiting:
            done, _ = wait(waiting, timeout=RENEW_SECONDS)
            _record({waiting.pop(fetched): fetched for fetched in done})
            _renew([output.pk for output in waiting.values()])


def _lower_priority() -> None:
    """Lower the priority of this thread, so that filling slots comes first.

    The time of an empty slot is lost, while a file can wait for a day.
    """
    with contextlib.suppress(OSError, AttributeError):  # not every system lets a thread say so
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)


def _renew(output_ids: Sequence[int]) -> None:
    if output_ids:
        pending = Output.objects.filter(pk__in=output_ids, status=OutputStatus.PENDING)
        pending.update(next_try_at=timezone.now() + LEASE)


def _record(fetched: Mapping[Output, Future[dict[str, Any]]]) -> None:
    """Store the downloaded files in one transaction, and plan another try for the others."""
    facts = {output.pk: future.result() for output, future in fetched.items() if not future.exception()}
    stored = lifecycle.store_outputs(facts)
    remove(
        output.remote_url.removeprefix(STORED_PREFIX)
        for output in fetched
        if output.pk in stored
        and output.remote_url.startswith(f"{STORED_PREFIX}{folder_of(output.attempt.item.mission_id)}/")
    )
    for output, future in fetched.items():
        if error := future.exception():
            with about(mission=output.attempt.item.mission_id, item=output.item_id, output=output.pk):
                _try_later(output, _message(error))
        elif output.pk not in stored and not _is_stored(output.pk):  # its mission was deleted in the meantime
            remove([facts[output.pk]["file"], facts[output.pk].get("thumbnail", "")])


def _message(error: BaseException) -> str:
    """Return what people are told of a failed try: no path and no name of an exception."""
    if disk.is_no_space(error):
        return reasons.OUTPUT_NO_SPACE()
    if isinstance(error, DownloadFailed | NotAResult | Unavailable):
        message = error.args[0]
        return message if isinstance(message, Reason) else str(error)
    log.error("A result could not be stored.", exc_info=error)
    return reasons.OUTPUT_NOT_STORED()


def _fetch(output: Output) -> dict[str, Any]:
    with about(output=output.pk), _download(output) as (path, digest):
        return {"sha256": digest, **_place(output, path)}


def _is_stored(output_id: int) -> bool:
    """Tell if another fetch of this output was first; its file has the same name."""
    return Output.objects.filter(pk=output_id, status=OutputStatus.STORED).exists()


def _read(output_ids: Sequence[int]) -> list[Output]:
    fields = (
        "remote_url",
        "extension",
        "index",
        "item_id",
        "try_count",
        "expires_at",
        "created_at",
        "attempt__number",
        "attempt__item__mission_id",
        "attempt__item__index",
        "attempt__account__name",
        "attempt__account__provider",
        "attempt__account__base_url",
        "attempt__account__sealed_key",
        "attempt__account__concurrency",
        "attempt__account__options",
    )
    outputs = Output.objects.select_related("attempt__item", "attempt__account").only(*fields)
    return list(outputs.filter(pk__in=output_ids))


def _try_later(output: Output, message: str) -> None:
    log.info("A result is not stored yet, after try %d: %s", output.try_count, message)
    next_try_at = timezone.now() + timedelta(seconds=retry.after_failed_download(output.try_count))
    expires_at = output.expires_at or output.created_at + PATIENCE
    if next_try_at > expires_at:
        lifecycle.lose_output(output.pk, message=reasons.OUTPUT_LOST(hint=message))
        return
    Output.objects.filter(pk=output.pk, status=OutputStatus.PENDING).update(
        next_try_at=next_try_at,
        **columns(message, text="error_message", code="error_reason", params="error_params"),
    )


# --- Fetch ---


@contextlib.contextmanager
def _download(output: Output) -> Iterator[tuple[Path, str]]:
    """Stream an output to a temporary file in the data folder.

    Yields its path and SHA-256. Raises DownloadFailed or Unavailable.
    """
    folder = disk.temporary_folder()
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"output-{output.pk}-"
    for part in folder.glob(f"{prefix}*{PART}"):  # of an earlier try whose worker was killed
        part.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=PART, dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            digest = _stream(output, file)
            file.flush()
            os.fsync(file.fileno())
        yield path, digest
    except (ValueError, OSError) as error:
        log.info("A result could not be fetched or stored: %r", error)
        raise DownloadFailed(reasons.OUTPUT_NOT_FETCHED()) from error
    finally:
        path.unlink(missing_ok=True)


def remove_parts(*, older_than: timedelta = timedelta(0), apply: bool = True) -> tuple[int, int]:
    """Remove files of downloads whose workers have died, or that have not grown for so long.

    Return how many there are, and their bytes. Without ``apply`` none is removed.
    """
    limit = time.time() - older_than.total_seconds()
    count = size = 0
    for part in disk.temporary_folder().glob(f"*{PART}"):
        with contextlib.suppress(FileNotFoundError):
            facts = part.stat()
            if facts.st_mtime <= limit:
                count, size = count + 1, size + facts.st_size
                if apply:
                    part.unlink()
    return count, size


def _stream(output: Output, file: Any) -> str:
    """Copy an output's content to an open file, within the size limit. Return its SHA-256."""
    digest = hashlib.sha256()
    size = 0
    with _source(output) as source:
        for chunk in source.chunks:
            size += len(chunk)
            if size > settings.RESULTS_MAX_BYTES:
                raise DownloadFailed(f"The result is larger than RESULTS_MAX_BYTES ({settings.RESULTS_MAX_BYTES}).")
            digest.update(chunk)
            file.write(chunk)
    if source.size_bytes is not None and size != source.size_bytes:
        raise DownloadFailed(f"The result broke off after {size} of {source.size_bytes} bytes.")
    if not size:
        raise DownloadFailed("The result is an empty file.")
    return digest.hexdigest()


def _source(output: Output) -> contextlib.AbstractContextManager[http.Download]:
    """Open an output: in our storage, or at the provider with the account's own means."""
    own = f"{STORED_PREFIX}{_name(output.attempt, output.index)}.incoming"
    if output.remote_url.startswith(own):  # no other file of the storage, whatever a provider calls a URL
        return _open_stored(output.remote_url.removeprefix(STORED_PREFIX))
    try:
        return provider_accounts.connect(output.attempt.account).fetch(output.remote_url)
    except (AccountBlocked, Unavailable):  # a key that is gone: most results need none
        return http.download(output.remote_url, allowed_hosts=settings.RESULTS_ALLOWED_HOSTS)


@contextlib.contextmanager
def _open_stored(name: str) -> Iterator[http.Download]:
    with storages["results"].open(name) as file:
        yield http.Download(file.chunks(CHUNK_BYTES), file.size)


def store_result_files(attempt: Attempt, state: RemoteState) -> RemoteState:
    """Store results that exist only in this process or on this host.

    Return the state with URLs for them.

    Any worker then fetches them from the storage, as it fetches others from the provider.
    """
    outputs = []
    for index, output in enumerate(state.outputs, start=1):
        if output.path or output.content:
            name = f"{_name(attempt, index)}.incoming"
            storage = storages["results"]
            name = _save(name, output.path) if output.path else storage.save(name, ContentFile(output.content))
            output = RemoteOutput(url=f"{STORED_PREFIX}{name}", extension=output.extension)
        outputs.append(output)
    return dataclasses.replace(state, outputs=tuple(outputs))


# --- Place ---


class _LocalFile(File):  # type: ignore[type-arg]
    """A finished file on disk that a file system storage may rename instead of copying."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def _place(output: Output, path: Path) -> dict[str, Any]:
    """Check the file, move it and its thumbnail into the storage. Returns the facts for its row."""
    with _inspecting:
        file = inspect(path, claimed=output.extension)
    name = _name(output.attempt, output.index)
    facts: dict[str, Any] = {
        "extension": file.extension,
        "content_type": file.content_type,
        "size_bytes": path.stat().st_size,
        "width": file.width,
        "height": file.height,
        "duration_seconds": file.duration_seconds,
    }
    if file.thumbnail is not None:
        facts["thumbnail"] = storages["results"].save(f"{name}.thumb.jpg", ContentFile(file.thumbnail))
    facts["file"] = _save(f"{name}.{file.extension}", path)
    return facts


def _save(name: str, path: Path) -> str:
    path.chmod(0o644)
    with path.open("rb") as file:
        return str(storages["results"].save(name, _LocalFile(file, name=str(path))))


def folder_of(mission_id: int) -> str:
    return f"missions/{mission_id}"


def _name(attempt: Attempt, index: int) -> str:
    """Return the name of a result's files, without extension.

    It depends on the rows only, so a second fetch after a crash replaces the first file.
    """
    item = attempt.item
    return f"{folder_of(item.mission_id)}/{item.index:05d}-{attempt.number}-{index}"


def remove_files(mission: Mission) -> None:
    """Delete every result file of a mission, also those that no row names."""
    folder = folder_of(mission.pk)
    for page in files_below(storages["results"], folder):
        remove(file.name for file in page)
    with contextlib.suppress(OSError, NotImplementedError):
        Path(storages["results"].path(folder)).rmdir()


def remove(names: Iterable[str]) -> None:
    """Delete files from the storage by their names; "" is none."""
    for name in filter(None, names):
        storages["results"].delete(name)
