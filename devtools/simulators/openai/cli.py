"""The command line of the chat simulator."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from devtools.simulators.openai.options import Options
from devtools.simulators.runninghub.cli import pair

DESCRIPTION = "A server that answers like an OpenAI-compatible one, writes simple texts and fails on request."


def add_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that only this simulator has."""
    for field in dataclasses.fields(Options):
        text = f"{field.metadata['help']} ({field.default})"
        parser.add_argument(f"--{field.name.replace('_', '-')}", default=field.default, metavar="VALUE", help=text)


def run(arguments: dict[str, Any]) -> None:
    """Serve with parsed arguments. Raises ValueError, and OSError when the port is taken."""
    from devtools.simulators.openai.server import serve  # --help need not load a server

    options = Options()
    for field in dataclasses.fields(Options):
        options.change(field.name, arguments[field.name])
    with tempfile.TemporaryDirectory(prefix="simulator-") as folder:
        state = arguments["state"] or str(Path(folder, "state.sqlite3"))
        faults = dict(arguments["fault"])
        serve(arguments["host"], arguments["port"], state, options, faults, arguments["tied"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devtools.simulators.openai", description=DESCRIPTION)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=9200, help="port to listen on; 0 picks a free one (9200)")
    parser.add_argument("--state", default="", help="SQLite file that outlives a kill; without it a temporary one")
    parser.add_argument("--tied", action="store_true", help="stop when standard input closes")
    parser.add_argument("--fault", action="append", default=[], type=pair, metavar="NAME=AMOUNT", help="arm a fault")
    add_options(parser)
    try:
        run(vars(parser.parse_args()))
    except (OSError, ValueError) as problem:
        parser.exit(1, f"simulator: {problem}\n")
