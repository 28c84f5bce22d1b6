"""Machines as network namespaces with host names, on a switch whose cables can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

SUBNETS = range(256)


def missing() -> str:
    """Return the reason why no network can be made here, or ""."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "unshare", "hostname"):
        if not shutil.which(program):
            return f"no {program}: apt install iproute2 util-linux hostname"
    name = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return f"network namespaces are not permitted here: {made.stderr.decode().strip()}"
    _ip("netns", "delete", name)
    return ""


class Network:
    """A switch (a bridge) with this host at ``address``.  Nothing of it is reached from outside."""

    def __init__(self) -> None:
        self.number = next(number for number in SUBNETS if _succeeds("link", "add", _bridge(number), "type", "bridge"))
        self.address = f"198.18.{self.number}.1"  # a range that is for tests alone
        _ip("address", "add", f"{self.address}/24", "dev", _bridge(self.number))
        _ip("link", "set", _bridge(self.number), "up")
        self.machines: list[Machine] = []

    def machine(self) -> Machine:
        """One more, plugged in."""
        machine = Machine(self, len(self.machines) + 1)
        self.machines.append(machine)
        return machine

    def remove_machines(self) -> None:
        while self.machines:
            _ip("netns", "delete", self.machines.pop().name)

    def close(self) -> None:
        self.remove_machines()
        _ip("link", "delete", _bridge(self.number))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Machine:
    """Processes on it share this host's disk and process table, and nothing else."""

    def __init__(self, network: Network, place: int) -> None:
        self.name = f"{_bridge(network.number)}-{place}"
        self._port = f"{_bridge(network.number)}p{place}"
        _ip("netns", "add", self.name)
        _ip("link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self._port, "master", _bridge(network.number), "up")
        _ip("-netns", self.name, "address", "add", f"198.18.{network.number}.{place + 1}/24", "dev", "eth0")
        _ip("-netns", self.name, "link", "set", "eth0", "up")
        _ip("-netns", self.name, "link", "set", "lo", "up")

    @property
    def prefix(self) -> list[str]:
        """Return the prefix for commands there.  It execs them, so the process id stays."""
        renamed = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        return ["ip", "netns", "exec", self.name, *renamed]

    def cut_off(self) -> None:
        """Pull the cable: from now on nothing arrives, in either direction, and nobody is told."""
        _ip("link", "set", self._port, "down")

    def reconnect(self) -> None:
        _ip("link", "set", self._port, "up")


def _bridge(number: int) -> str:
    return f"batch{number}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _succeeds(*arguments: str) -> bool:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0
