"""Connections with the bounds of the real ones, and less patience, so that tests need not wait for minutes."""

from core.http.slow_clients import BoundedConnection


class HastyConnection(BoundedConnection):
    WINDOW_SECONDS = 1.0
    LEAST_BYTES = 256
    STALLED_SECONDS = 2.0
    MAKING_SECONDS = 8.0
