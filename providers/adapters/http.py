"""HTTP to providers: each request is sent once; a failure says if the request may have arrived.

No request to a provider's API is retried or redirected: it may cost money, and only the engine may
decide to send it again. Downloads of results follow redirects, each hop checked like the first.

A server that sends one byte now and then would hold a worker for ever, because each byte is in
time. So an answer also has a deadline as a whole, header included.
"""

from __future__ import annotations

import contextlib
import errno
import io
import math
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import requests_hardened
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.exceptions import ConnectTimeout, InvalidProxyURL, InvalidSchema, InvalidURL, MissingSchema
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError, ProxyError

from core.reasons import Reason, define
from core.version import VERSION
from providers.adapters.errors import Unavailable


class Timeout(NamedTuple):
    """Seconds to wait: for a connection, for the next bytes on it, and for the whole answer."""

    connect: float
    read: float
    whole: float

    @property
    def of_socket(self) -> tuple[float, float]:
        return self.connect, self.read


SUBMIT_TIMEOUT = Timeout(10, 60, 60)
QUERY_TIMEOUT = Timeout(5, 10, 10)
UPLOAD_TIMEOUT = Timeout(10, 120, 180)
ACCOUNT_TIMEOUT = Timeout(5, 15, 20)
MESSAGE_TIMEOUT = Timeout(5, 10, 10)
DOWNLOAD_TIMEOUT = Timeout(10, 30, 60)  # and DOWNLOAD_BYTES_PER_SECOND more for what has arrived

POOL_SIZE = 16
MESSAGE_ANSWER_LIMIT_BYTES = 64 * 1024
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
LONGEST_WAIT_SECONDS = 3600.0
TOO_SLOW = define("http.too_slow", "the answer took too long")()
IS_PRIVATE = define("http.message_address_private", "The address is a private one, to which nothing is sent.")()
DOWNLOAD_CHUNK_BYTES = 256 * 1024
DOWNLOAD_BYTES_PER_SECOND = 16 * 1024  # a slower file is given up, and tried again later
STREAM_PIECE_BYTES = 64 * 1024
MAX_REDIRECTS = 3

_BadAddress = InvalidURL | InvalidSchema | MissingSchema | InvalidProxyURL | LocationValueError

PRIVATE_ADDRESS = define(
    "http.private_address",
    "The result could not be fetched: its address is a private one, which RESULTS_ALLOWED_HOSTS does not name.",
)
NO_ANSWER_IN_TIME = define(
    "http.no_answer_in_time", "The result could not be fetched: its server did not answer in time."
)
CONNECTION_LOST = define("http.connection_lost", "The result could not be fetched: the connection failed or broke off.")
# In place of the names of exceptions that have no text of their own.
TOO_LONG = define("http.too_long", "the answer is too long")()
BROKEN = define("http.broken", "the connection failed or broke off")()
_NO_ANSWER = define("http.no_answer", "no answer in time")()
_BAD_ADDRESS = define("http.bad_address", "the address is not valid")()
CAUSES = {
    "RemoteDisconnected": define("http.closed", "the server closed the connection without an answer")(),
    "IncompleteRead": define("http.incomplete", "the answer broke off")(),
    "TimeoutError": _NO_ANSWER,
    "ReadTimeoutError": _NO_ANSWER,
    "ConnectTimeoutError": define("http.no_connection", "no connection in time")(),
    "LocationParseError": _BAD_ADDRESS,
    "InvalidURL": _BAD_ADDRESS,
    "BadStatusLine": define("http.not_http", "the answer is not HTTP")(),
}

USER_AGENT = f"runninghub-batch/{VERSION}"


class TransportFailure(Exception):
    """No complete answer.

    ``may_have_arrived`` is False only when not one byte of the request can have been sent.
    ``reason`` is a short text of our own. It never quotes the server, a header or a URL, because
    any of them could contain a key.
    """

    def __init__(self, reason: str, *, may_have_arrived: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_have_arrived = may_have_arrived


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer.

    ``retry_after_seconds`` is the wait that the server requested, None if it requested none.
    """

    status: int
    body: bytes
    retry_after_seconds: float | None = None


class BearerAuth(AuthBase):
    """A Bearer token as ``session.auth``.

    As long as ``auth`` is set, requests does not replace the header by an entry of a netrc file.
    """

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._api_key:
            request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def new_session(api_key: str) -> requests.Session:
    """Return a session that sends a Bearer token, pools connections and never retries."""
    session = requests.Session()
    session.auth = BearerAuth(api_key)
    session.headers["User-Agent"] = USER_AGENT
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_maxsize=POOL_SIZE, max_retries=Retry(0, read=False)))
    return session


def exchange(session: requests.Session, method: str, url: str, *, timeout: Timeout, **content: Any) -> Answer:
    """Send one request, once, and return its whole answer, whatever its status.

    ``content``: ``data``, ``files`` and ``headers``, as for ``requests.request``. Raises
    TransportFailure.
    """
    try:
        with (
            _deadline_in(timeout.whole),
            session.request(
                method, url, timeout=timeout.of_socket, allow_redirects=False, stream=True, **content
            ) as response,
        ):
            body = bytearray()
            for chunk in response.iter_content(STREAM_PIECE_BYTES):
                body += chunk
                if len(body) > ANSWER_LIMIT_BYTES:
                    raise OSError(errno.EMSGSIZE, TOO_LONG)
            wait = parse_retry_after(response.headers.get("Retry-After"))
            return Answer(response.status_code, bytes(body), wait)
    except (OSError, ValueError, HTTPError) as exc:
        failure = _failure(exc)
    # Raised outside of the handler, so that its context does not hold the request and its headers.
    raise failure


@dataclass(frozen=True, slots=True)
class Reachability:
    """The answer of a server to a request without a key. ``date``: the time on its clock."""

    status: int
    date: datetime | None


def glance(url: str) -> Reachability:
    """GET an address without a key. Raises TransportFailure."""
    try:
        with requests.Session() as session:
            session.auth = BearerAuth("")  # no key of a netrc file; proxies and CA bundles of the environment count
            headers = {"User-Agent": USER_AGENT}
            _limit_answers(session)
            with (
                _deadline_in(ACCOUNT_TIMEOUT.whole),
                session.get(
                    url, timeout=ACCOUNT_TIMEOUT.of_socket, allow_redirects=False, stream=True, headers=headers
                ) as answer,
            ):
                date = None
                with contextlib.suppress(ValueError):
                    if text := answer.headers.get("Date"):
                        date = parsedate_to_datetime(text).astimezone(UTC)
                return Reachability(answer.status_code, date)
    except (OSError, ValueError, HTTPError) as exc:
        failure = _failure(exc)
    raise failure


def is_listed(address: SplitResult, hosts: Collection[str]) -> bool:
    """Return True if ``hosts`` names the host of an address, as "host" or "host:port"."""
    return address.netloc in hosts or address.hostname in hosts


def post_message(url: str, *, data: bytes, headers: Mapping[str, str], allowed_hosts: Collection[str] = ()) -> Answer:
    """POST to an address that a person chose, once. Raises TransportFailure.

    The host is resolved once, and the connection goes to the address that was checked. Private
    addresses are refused unless ``allowed_hosts`` names the host, as "host" or "host:port".
    Redirects are not followed. Only the first MESSAGE_ANSWER_LIMIT_BYTES of the answer are read.
    """
    parts = urlsplit(url)
    is_allowed = is_listed(parts, allowed_hosts)
    try:
        with _limit_answers(requests.Session() if is_allowed else _public_session()) as session:
            session.auth = BearerAuth("")  # no password of a netrc file
            with (
                _deadline_in(MESSAGE_TIMEOUT.whole),
                session.post(
                    url,
                    data=data,
                    headers={"User-Agent": USER_AGENT, "Connection": "close", "Accept-Encoding": "identity", **headers},
                    timeout=MESSAGE_TIMEOUT.of_socket,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                # As it was sent: unpacking a small answer could fill the memory.
                body = response.raw.read(MESSAGE_ANSWER_LIMIT_BYTES, decode_content=False)
                wait = parse_retry_after(response.headers.get("Retry-After"))
                return Answer(response.status_code, body, wait)
    except InvalidIPAddress:
        failure = TransportFailure(IS_PRIVATE, may_have_arrived=False)
    except (OSError, ValueError, HTTPError, HTTPException) as exc:
        failure = _failure(exc)
    raise failure


def post_once(api_key: str, url: str, *, timeout: Timeout, data: bytes, headers: Mapping[str, str]) -> Answer:
    """POST over a new connection; for the call that spends money. Raises TransportFailure.

    The server may have closed a pooled connection while it was idle. The request then fails with
    "closed without response", exactly like a server that crashed after it accepted the request. On
    a new connection this is rare, and one more TLS handshake costs nothing beside a generation.
    """
    with new_session(api_key) as session:
        return exchange(session, "POST", url, timeout=timeout, data=data, headers={**headers, "Connection": "close"})


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer whose body is still arriving. Reading ``chunks`` raises TransportFailure."""

    status: int
    content_type: str
    chunks: Iterator[bytes]
    retry_after_seconds: float | None = None


@contextlib.contextmanager
def stream_once(
    api_key: str, url: str, *, timeout: Timeout, data: bytes, headers: Mapping[str, str]
) -> Iterator[StreamedAnswer]:
    """POST over a new connection, like ``post_once``, and stream the body as it arrives.

    Raises TransportFailure until the answer has begun.
    """
    all_headers = {**headers, "Connection": "close", "Accept-Encoding": "identity"}
    with new_session(api_key) as session:
        response, failure = None, None
        try:
            with _deadline_in(timeout.whole):
                response = session.post(
                    url, timeout=timeout.of_socket, data=data, headers=all_headers, allow_redirects=False, stream=True
                )
        except (OSError, ValueError, HTTPError) as exc:
            failure = _failure(exc)
        if response is None:
            raise failure or TransportFailure(_NO_ANSWER, may_have_arrived=True)
        with response:
            yield StreamedAnswer(
                status=response.status_code,
                content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                chunks=_pieces(response),
                retry_after_seconds=parse_retry_after(response.headers.get("Retry-After")),
            )


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield each piece as soon as it arrives; ``iter_content`` would wait for a full chunk."""
    failure = None
    try:
        while piece := response.raw.read1(STREAM_PIECE_BYTES):
            yield piece
    except (OSError, ValueError, HTTPError, HTTPException) as exc:
        failure = TransportFailure(_reason(exc), may_have_arrived=True)
    if failure:
        raise failure


def read_all(chunks: Iterator[bytes]) -> bytes:
    """Return the whole body of a StreamedAnswer.

    Raises TransportFailure, also for a body longer than ANSWER_LIMIT_BYTES.
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            raise TransportFailure(TOO_LONG, may_have_arrived=True)
    return bytes(body)


@dataclass(frozen=True, slots=True)
class Download:
    """A result that is being streamed. ``size_bytes``: the announced size, None if there is none.

    Reading ``chunks`` raises Unavailable when the stream breaks.
    """

    chunks: Iterator[bytes]
    size_bytes: int | None = None


@contextlib.contextmanager
def download(url: str, *, allowed_hosts: Collection[str] = (), api_key: str = "") -> Iterator[Download]:
    """GET a result, following redirects by hand so that every hop is checked like the first.

    Private addresses are refused unless ``allowed_hosts`` names the host, as "host" or "host:port".
    ``api_key`` is sent as a Bearer token to the host of ``url`` only. Raises Unavailable.
    """
    first = urlsplit(url).netloc
    try:
        for _ in range(MAX_REDIRECTS + 1):
            url = _as_sent(url)
            parts = urlsplit(url)
            is_allowed = is_listed(parts, allowed_hosts)
            session = _download_sessions["any" if is_allowed else "public"]
            headers = {"Authorization": f"Bearer {api_key}"} if api_key and parts.netloc == first else {}
            with (
                _deadline_in(DOWNLOAD_TIMEOUT.whole) as deadline,
                session.get(
                    url, stream=True, allow_redirects=False, timeout=DOWNLOAD_TIMEOUT.of_socket, headers=headers
                ) as answer,
            ):
                if answer.is_redirect:
                    url = urljoin(url, answer.headers["Location"])
                    continue
                if answer.status_code != requests.codes.ok:
                    raise Unavailable(f"The result's address answered {answer.status_code}.")
                length = answer.headers.get("Content-Length", "")
                is_plain = length.isdecimal() and "Content-Encoding" not in answer.headers
                yield Download(_chunks(answer, deadline), int(length) if is_plain else None)
                return
    except (requests.RequestException, OSError, HTTPError) as error:
        raise Unavailable(_not_fetched(error)) from error
    raise Unavailable("The result's address redirects too often.")


def _as_sent(url: str) -> str:
    """Return an address as requests would send it. Raises Unavailable.

    ``http://a\\@b/`` has one host for urlsplit and another for requests: only the latter counts.
    """
    try:
        prepared = requests.Request("GET", url).prepare().url or ""
    except (requests.RequestException, ValueError):
        prepared = ""
    parts = urlsplit(prepared)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unavailable("The result's address is not an http address.")
    return prepared


def _chunks(answer: requests.Response, deadline: _Deadline) -> Iterator[bytes]:
    try:
        for chunk in answer.iter_content(DOWNLOAD_CHUNK_BYTES):
            deadline.at += len(chunk) / DOWNLOAD_BYTES_PER_SECOND
            yield chunk
    except (requests.RequestException, OSError, HTTPError) as error:
        raise Unavailable(_not_fetched(error)) from error


def _not_fetched(error: Exception) -> Reason:
    """Return why a download failed, for people."""
    if isinstance(error, InvalidIPAddress):
        return PRIVATE_ADDRESS()
    return NO_ANSWER_IN_TIME() if isinstance(error, requests.Timeout) else CONNECTION_LOST()


def parse_retry_after(header: str | None, *, now: datetime | None = None) -> float | None:
    """Return the wait of a Retry-After header, between 0 and LONGEST_WAIT_SECONDS.

    The header holds seconds or an HTTP date. None: it is absent or unreadable.
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _failure(exc: Exception) -> TransportFailure:
    """Return the TransportFailure of an exception that was raised before the answer was complete.

    Failures to connect and bad addresses come before the first byte of the request is sent.
    """
    # requests wraps urllib3's MaxRetryError, which holds the reason.
    reason = getattr(exc.args[0], "reason", None) if exc.args else None
    if isinstance(reason, ProxyError):
        reason = reason.original_error
    is_unsent = isinstance(exc, ConnectTimeout | _BadAddress) or isinstance(
        reason, NewConnectionError | ConnectTimeoutError
    )
    return TransportFailure(_reason(exc), may_have_arrived=not is_unsent)


def _reason(exc: BaseException) -> str:
    """Name the root cause: "Connection refused", "no answer in time" ..."""
    while cause := exc.__cause__ or exc.__context__:
        if getattr(exc, "strerror", None) == TOO_SLOW:
            break
        exc = cause
    return getattr(exc, "strerror", None) or CAUSES.get(type(exc).__name__, BROKEN)


@dataclass(slots=True)
class _Deadline:
    """The time, on the monotonic clock, by which the answers that begin now must be complete."""

    at: float


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def _deadline_in(seconds: float) -> Iterator[_Deadline]:
    """Let answers to requests of the block fail if they are not complete within ``seconds``."""
    deadline = _Deadline(time.monotonic() + seconds)
    before = _deadline.set(deadline)
    try:
        yield deadline
    finally:
        with contextlib.suppress(ValueError):  # a generator that is closed by another thread
            _deadline.reset(before)


class _TimedReader(io.RawIOBase):
    """Reads an answer from its socket, waiting for each piece no longer than until the deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: _Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline
        self._timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.at - time.monotonic()
        if left > 0:
            self._sock.settimeout(left if self._timeout is None else min(self._timeout, left))
            try:
                return self._raw.readinto(buffer)
            except TimeoutError:
                if time.monotonic() < self._deadline.at:
                    raise
        raise TimeoutError(errno.ETIMEDOUT, TOO_SLOW)

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):
                self._sock.settimeout(self._timeout)  # the connection may be used again
            self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    """The answer on a connection, with the deadline of the request that it belongs to."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        if deadline := _deadline.get():
            self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock, deadline))


class _HTTPConnection(HTTPConnection):
    response_class = _TimedResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSConnection(HTTPSConnection):
    """An HTTPS connection that reports a failed TLS handshake or proxy tunnel as not connected.

    Both come before the request is sent. urllib3 reports them like a lost answer, so on an
    unreliable route every second submit would end unconfirmed.
    """

    response_class = _TimedResponse

    def connect(self) -> None:
        try:
            super().connect()
        except (NewConnectionError, ConnectTimeoutError):
            raise
        except (OSError, ValueError, HTTPError) as exc:
            raise NewConnectionError(self, "no secure connection") from exc


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    """A transport that uses our connections, directly and through an HTTP proxy.

    A SOCKS proxy keeps the connections of urllib3.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        _use_our_pools(manager)
        return manager


def _use_our_pools(manager: PoolManager) -> None:
    if manager.pool_classes_by_scheme["https"] is HTTPSConnectionPool:
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def _limit_answers(session: requests.Session) -> requests.Session:
    """Let the session's connections heed the deadline. Return the session."""
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            _use_our_pools(adapter.poolmanager)
    return session


def _public_session() -> requests.Session:
    """Return a session that refuses private addresses and redirects."""
    config = requests_hardened.Config(
        ip_filter_enable=True,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=DOWNLOAD_TIMEOUT.of_socket,
    )
    return _limit_answers(requests_hardened.HTTPSession(config))


_download_sessions: dict[str, requests.Session] = {
    "public": _public_session(),
    "any": _limit_answers(requests.Session()),
}
