"""The command line of ``python -m devtools.simulators.runninghub`` and ``manage.py simulator``."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from devtools.simulators.runninghub.faults import amount_of, fault_name
from devtools.simulators.runninghub.options import Options


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=9100, help="port to listen on; 0 picks a free one (9100)")
    parser.add_argument("--state", default="", help="SQLite file that outlives a kill; without it a temporary one")
    parser.add_argument("--tied", action="store_true", help="stop when standard input closes")
    parser.add_argument("--fault", action="append", default=[], type=pair, metavar="NAME=AMOUNT", help="arm a fault")
    for field in dataclasses.fields(Options):
        default = getattr(Options(), field.name)
        flag, meaning = f"--{field.name.replace('_', '-')}", field.metadata["help"]
        if isinstance(default, dict):
            parser.add_argument(flag, action="append", default=[], type=pair, metavar="NAME=VALUE", help=meaning)
        else:
            parser.add_argument(flag, default=default, metavar="VALUE", help=f"{meaning} ({default})")


def pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, not {text!r}")
    return name, value


def run(arguments: dict[str, Any]) -> None:
    """Serve with parsed arguments.  Raises ValueError for a bad option, OSError for the port."""
    from devtools.simulators.runninghub.server import serve  # after parsing: --help need not load a server

    options = Options()
    for field in dataclasses.fields(Options):
        value = arguments[field.name]
        options.change(field.name, dict(value) if isinstance(value, list) else value)
    faults = {}
    for name, amount in arguments["fault"]:
        fault_name(name)
        faults[name] = amount_of(amount)
    with tempfile.TemporaryDirectory(prefix="simulator-") as folder:
        state = arguments["state"] or str(Path(folder, "state.sqlite3"))
        serve(arguments["host"], arguments["port"], state, options, faults, arguments["tied"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devtools.simulators.runninghub", description=DESCRIPTION)
    add_options(parser)
    try:
        run(vars(parser.parse_args()))
    except (OSError, ValueError) as problem:
        parser.exit(1, f"simulator: {problem}\n")


DESCRIPTION = "A server that answers like RunningHub, makes real files, costs nothing and fails on request."
