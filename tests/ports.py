"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket

# Below those that systems give to connections (32768 and up): nobody else is given one between the choice and the start.
PORTS = range(20_000, 30_000)
_dice = random.SystemRandom()  # not pytest-randomly's, which gives all processes the same


def free_port(host: str = "127.0.0.1") -> int:
    """A port at which nobody listens, and which other processes that choose at the same moment hardly choose."""
    for port in _dice.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise RuntimeError(f"No port at {host} is free.")


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
