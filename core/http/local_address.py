"""The address by which other devices of the same network reach this machine."""

from __future__ import annotations

import socket


def own_address() -> str:
    """Return this machine's IPv4 address in its network, or 127.0.0.1 without a network.

    Nothing is sent: the system only says which address it would send from.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
