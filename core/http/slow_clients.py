"""Connections whose other end is slow, or says nothing: each is dropped after a while, whatever it holds up.

uvicorn waits for ever for a request that does not come, comes byte by byte, or whose answer nobody takes.  A proxy in front of
it usually does not; this holds without one.  It is named to uvicorn by ``--http`` (see ``Procfile``).
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class BoundedConnection(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, within bounds.  Looked at once in every WINDOW_SECONDS:

    a request on its way   came with fewer than LEAST_BYTES since the last look: dropped
    an answer              nothing of it was taken for STALLED_SECONDS: dropped; as long as more of it is being made, only
                           after MAKING_SECONDS, for what is streamed has bounds of its own (``core.http.streaming``)

    The next request of a connection is begun only when the answer to the one before has left: begun earlier, its own answer would
    be held beside that.
    """

    WINDOW_SECONDS = 30.0
    LEAST_BYTES = 16 * 1024
    STALLED_SECONDS = 120.0
    MAKING_SECONDS = 660.0

    _received = 0  # bytes, since the last look
    _unsent = 0  # bytes that waited to be taken at the last look
    _stalled_seconds = 0.0
    _is_waiting = False  # for the answer to leave
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_window()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_window()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._begin_window()
        self._is_waiting = self.flow.write_paused
        if not self._is_waiting:
            super().on_response_complete()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_seconds = 0.0
        if self._is_waiting:
            self.on_response_complete()

    def _begin_window(self) -> None:
        self._end_window()
        self._received = 0
        self._unsent = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(self.WINDOW_SECONDS, self._look)

    def _end_window(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        is_stalled = 0 < unsent == self._unsent
        self._stalled_seconds = self._stalled_seconds + self.WINDOW_SECONDS if is_stalled else 0.0
        if self._is_too_slow(unsent):
            self.logger.info("A connection was dropped: its other end is too slow")
            self.transport.abort()
        else:
            self._begin_window()

    def _is_too_slow(self, unsent: int) -> bool:
        if unsent:
            is_made = self.cycle is None or self.cycle.response_complete
            return self._stalled_seconds >= (self.STALLED_SECONDS if is_made else self.MAKING_SECONDS)
        return self._is_awaited and self._received < self.LEAST_BYTES

    @property
    def _is_awaited(self) -> bool:
        """Whether it is the other end's turn: its request has not come as a whole, and nothing here keeps it from coming."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.flow.read_paused
