"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket

# Below the ephemeral ports (32768 and up): no connection takes one before the server starts.
PORTS = range(20_000, 30_000)
_dice = random.SystemRandom()  # not pytest-randomly's, which gives all processes the same


def free_port(host: str = "127.0.0.1") -> int:
    """Return a free port, drawn at random so that parallel processes rarely choose the same."""
    for port in _dice.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise RuntimeError(f"No port at {host} is free.")


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
