"""Results on disk: fetched at once, because the provider keeps them for a day.

    fetch    stream to a .part file, within a size limit, from public addresses only
    inspect  open the file for what it claims to be; measure it; draw its thumbnail or poster
    place    rename (or upload) it under the name that its row decides, then record it

A download that fails costs nothing and is tried again for as long as its address lives.  Fetching stands behind the filling of
slots: it is done in threads that give way when the processors are busy, several results to a message and to a transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import requests_hardened
from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from core.logging.context import about
from core.storage.listing import files_below
from missions import lifecycle
from missions.models import Mission, Output, OutputStatus
from missions.policy import retry
from missions.results.media_probe import NotAResult, inspect

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
CHUNK_BYTES = 256 * 1024
PART = ".part"
MAX_REDIRECTS = 3
LEASE = timedelta(seconds=10)  # renewed for as long as it takes, so that a dead worker's download is taken up soon
RENEW_SECONDS = 3.0
BATCH = 4  # downloads that one worker has on the wire at once
LOW_PRIORITY = 15

_inspecting = threading.Lock()  # a picture takes much memory while it is open, so a worker opens one at a time


class DownloadFailed(Exception):
    """This try came to nothing.  The message is for people."""


@dataclass
class _Sessions:
    """Pooled sessions of this process: one that refuses private addresses, one for hosts that a setting allows."""

    guarded: requests.Session = field(
        default_factory=lambda: requests_hardened.HTTPSession(
            requests_hardened.Config(
                ip_filter_enable=True,
                ip_filter_allow_loopback_ips=False,
                never_redirect=True,
                default_timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
        )
    )
    plain: requests.Session = field(default_factory=requests.Session)


_sessions = _Sessions()


def archive(try_number: int, output_ids: Sequence[int]) -> None:
    """Fetch outputs into the results storage, side by side.  A message for a try that was already made does nothing."""
    claimed = lifecycle.claim_downloads(output_ids, try_number=try_number, lease_until=timezone.now() + LEASE)
    if not claimed:
        return
    with ThreadPoolExecutor(max_workers=BATCH, initializer=_lower_priority) as pool:
        waiting = {pool.submit(_fetch, output): output for output in _read(claimed)}
        while waiting:
            done, _ = wait(waiting, timeout=RENEW_SECONDS)
            _record({waiting.pop(fetched): fetched for fetched in done})
            _renew([output.pk for output in waiting.values()])


def _lower_priority() -> None:
    """In a thread: leave the processors to those who fill slots.  A slot that is empty is lost; a file waits for a day."""
    with contextlib.suppress(OSError, AttributeError):  # not every system lets a thread say so
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)


def _renew(output_ids: Sequence[int]) -> None:
    if output_ids:
        pending = Output.objects.filter(pk__in=output_ids, status=OutputStatus.PENDING)
        pending.update(next_try_at=timezone.now() + LEASE)


def _record(fetched: Mapping[Output, Future[dict[str, Any]]]) -> None:
    """Store what arrived, in one transaction, and plan another try for the rest."""
    facts = {output.pk: future.result() for output, future in fetched.items() if not future.exception()}
    stored = lifecycle.store_outputs(facts)
    for output, future in fetched.items():
        if error := future.exception():
            _try_later(output, _message(output, error))
        elif output.pk not in stored and not _is_stored(output.pk):  # its mission was deleted in the meantime
            remove([facts[output.pk]["file"], facts[output.pk].get("thumbnail", "")])


def _message(output: Output, error: BaseException) -> str:
    if isinstance(error, DownloadFailed | NotAResult):
        return str(error)
    log.error("Output %s could not be stored.", output.pk, exc_info=error)
    return f"The result could not be stored: {type(error).__name__}."


def _fetch(output: Output) -> dict[str, Any]:
    with about(output=output.pk), _download(output) as (path, digest):
        return {"sha256": digest, **_place(output, path)}


def _is_stored(output_id: int) -> bool:
    """Whether another fetch of the same output came first: it left its file under the same name."""
    return Output.objects.filter(pk=output_id, status=OutputStatus.STORED).exists()


def _read(output_ids: Sequence[int]) -> list[Output]:
    fields = (
        "remote_url",
        "extension",
        "index",
        "try_count",
        "expires_at",
        "item__mission_id",
        "item__index",
        "attempt__number",
    )
    return list(Output.objects.select_related("item", "attempt").only(*fields).filter(pk__in=output_ids))


def _try_later(output: Output, message: str) -> None:
    next_try_at = timezone.now() + timedelta(seconds=retry.after_failed_download(output.try_count))
    if output.expires_at and next_try_at > output.expires_at:
        lifecycle.lose_output(
            output.pk, message=f"The result could not be fetched before its address expired. {message}"
        )
        return
    Output.objects.filter(pk=output.pk, status=OutputStatus.PENDING).update(
        next_try_at=next_try_at, error_message=message
    )


# --- Fetch ---


@contextlib.contextmanager
def _download(output: Output) -> Iterator[tuple[Path, str]]:
    """Stream an output to a temporary file in the data folder.  Yields its path and SHA-256; raises DownloadFailed."""
    folder = _parts_folder()
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=PART, dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            digest = _stream(output, file)
            file.flush()
            os.fsync(file.fileno())
        yield path, digest
    except (requests.RequestException, ValueError, OSError) as error:
        raise DownloadFailed(f"The result could not be fetched: {type(error).__name__}.") from error
    finally:
        path.unlink(missing_ok=True)


def _parts_folder() -> Path:
    return Path(settings.DATA_DIR) / "tmp"


def parts() -> Iterator[Path]:
    """Downloads that are under way, or that died with their worker."""
    return _parts_folder().glob(f"*{PART}")


def _stream(output: Output, file: Any) -> str:
    digest = hashlib.sha256()
    size = 0
    with contextlib.closing(_get(output.remote_url)) as answer:
        expected = answer.headers.get("Content-Length")
        for chunk in answer.iter_content(CHUNK_BYTES):
            size += len(chunk)
            if size > settings.RESULTS_MAX_BYTES:
                raise DownloadFailed(f"The result is larger than RESULTS_MAX_BYTES ({settings.RESULTS_MAX_BYTES}).")
            digest.update(chunk)
            file.write(chunk)
        is_encoded = "Content-Encoding" in answer.headers
    if expected is not None and expected.isdecimal() and not is_encoded and size != int(expected):
        raise DownloadFailed(f"The result broke off after {size} of {expected} bytes.")
    if not size:
        raise DownloadFailed("The result is an empty file.")
    return digest.hexdigest()


def _get(url: str) -> requests.Response:
    """GET, following redirects by hand so that every hop is checked like the first."""
    for _ in range(MAX_REDIRECTS + 1):
        url = _as_asked(url)
        answer = _session(url).get(url, stream=True, allow_redirects=False, timeout=(CONNECT_SECONDS, READ_SECONDS))
        if answer.is_redirect:
            url = urljoin(url, answer.headers["Location"])
            answer.close()
            continue
        if answer.status_code != requests.codes.ok:
            answer.close()
            raise DownloadFailed(f"The result's address answered {answer.status_code}.")
        return answer
    raise DownloadFailed("The result's address redirects too often.")


def _as_asked(url: str) -> str:
    """An address as it goes out.  ``http://a\\@b/`` has one host for urlsplit and another for requests: only the latter counts.

    Raises DownloadFailed.
    """
    try:
        prepared = requests.Request("GET", url).prepare().url or ""
    except requests.RequestException:
        prepared = ""
    parts = urlsplit(prepared)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadFailed("The result's address is not an http address.")
    return prepared


def _session(url: str) -> requests.Session:
    parts = urlsplit(url)
    allowed = settings.RESULTS_ALLOWED_HOSTS
    return _sessions.plain if parts.netloc in allowed or parts.hostname in allowed else _sessions.guarded


# --- Place ---


class _LocalFile(File):  # type: ignore[type-arg]
    """A finished file on disk that a file system storage may rename instead of copying."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def _place(output: Output, path: Path) -> dict[str, Any]:
    """Check the file, move it and its thumbnail into the storage.  Returns the facts for its row."""
    with _inspecting:
        found = inspect(path, claimed=output.extension)
    name = _name(output)
    facts: dict[str, Any] = {
        "extension": found.extension,
        "content_type": found.content_type,
        "size_bytes": path.stat().st_size,
        "width": found.width,
        "height": found.height,
        "duration_seconds": found.duration_seconds,
    }
    if found.thumbnail is not None:
        facts["thumbnail"] = storages["results"].save(f"{name}.thumb.jpg", ContentFile(found.thumbnail))
    facts["file"] = _save(f"{name}.{found.extension}", path)
    return facts


def _save(name: str, path: Path) -> str:
    path.chmod(0o644)
    with path.open("rb") as file:
        return str(storages["results"].save(name, _LocalFile(file, name=str(path))))


def folder_of(mission_id: int) -> str:
    return f"missions/{mission_id}"


def _name(output: Output) -> str:
    """Decided by the row alone, so that a second fetch after a crash replaces the file of the first."""
    item = output.item
    return f"{folder_of(item.mission_id)}/{item.index:05d}-{output.attempt.number}-{output.index}"


def remove_files(mission: Mission) -> None:
    """Delete every result file of a mission from the storage: also those of which a worker died before it told."""
    folder = folder_of(mission.pk)
    for page in files_below(storages["results"], folder):
        remove(file.name for file in page)
    with contextlib.suppress(OSError, NotImplementedError):
        Path(storages["results"].path(folder)).rmdir()


def remove(names: Iterable[str]) -> None:
    """Delete files from the storage by their names; "" is none."""
    for name in filter(None, names):
        storages["results"].delete(name)
