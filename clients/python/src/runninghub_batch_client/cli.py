"""``rhb``: submit, follow and download missions from a shell."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runninghub_batch_client.client import Client
from runninghub_batch_client.errors import Error
from runninghub_batch_client.types import Estimate, Mission

IMAGES = {".jpg", ".jpeg", ".png", ".gif", ".webp"}
ALL_DONE, SOME_FAILED, REFUSED = 0, 1, 2
DESCRIPTION = """\
Submit, follow and download missions of a RunningHub Batch server.

The server and the token are in the environment: RHB_URL (http://127.0.0.1:8000 without it) and RHB_TOKEN.
The exit code is 0 if every item succeeded, 1 if some did not, 2 after an error.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    token = os.environ.get("RHB_TOKEN", "")
    if not token:
        print("Set RHB_TOKEN to a token: create one on the page of your account.", file=sys.stderr)
        return REFUSED
    try:
        with Client(os.environ.get("RHB_URL", "http://127.0.0.1:8000"), token) as client:
            code: int = options.run(client, options)
            return code
    except (Error, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("\nStopped watching. The mission goes on.", file=sys.stderr)
        return REFUSED


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    root = argparse.ArgumentParser(
        prog="rhb", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("submit", help="create a mission from a file")
    command.set_defaults(run=submit)
    command.add_argument(
        "file",
        type=Path,
        help=".json: a whole request. Rows: .jsonl (an object or a text per line), .csv (columns named after "
        "parameters), .txt (a prompt per line). Images beside the file are uploaded.",
    )
    command.add_argument("--type", default="", metavar="TASK_TYPE", help="such as text_to_image; needed for rows")
    command.add_argument("--name", default="", help="the mission's name (the file's)")
    command.add_argument("--model", default="", help="an endpoint of /api/v1/models (the type's default)")
    command.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter for all rows")
    command.add_argument("--limit", default="", metavar="AMOUNT", help="the most that the mission may cost")
    command.add_argument("--check", action="store_true", help="only check and price it")
    command.add_argument(
        "--again", action="store_true", help="create another mission although the same was submitted today"
    )
    command.add_argument("--follow", action="store_true", help="watch it until it has ended")
    command.add_argument("--out", type=Path, metavar="ZIP", help="watch it, then store its results here")

    command = commands.add_parser("follow", help="watch a mission until it has ended")
    command.set_defaults(run=follow)
    command.add_argument("mission", type=int)

    command = commands.add_parser("download", help="store a mission's results as a ZIP archive")
    command.set_defaults(run=download)
    command.add_argument("mission", type=int)
    command.add_argument("--out", type=Path, metavar="ZIP", help="(mission-ID.zip)")
    command.add_argument("--now", action="store_true", help="what is there now, without waiting for the rest")
    return root


def submit(client: Client, options: argparse.Namespace) -> int:
    """Check a file, print what it costs, then submit it.

    The key is the hash of the request, so that the same command again is the same mission.
    """
    body = read_request(client, options)
    check = client.check_body(body)
    for problem in check.problems:
        print(f"{problem.field}: {problem.message}", file=sys.stderr)
    for warning in check.raw.get("warnings") or []:
        print(warning if isinstance(warning, str) else warning.get("message", warning), file=sys.stderr)
    if not check.is_valid:
        print("Nothing was submitted.", file=sys.stderr)
        return REFUSED
    print(f"{check.total_count} items, {price_of(check.estimate)}")
    if options.check:
        return ALL_DONE
    key = "" if options.again else hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    submitted = client.submit_body(body, key=key)
    known = ", submitted before; --again creates another" if submitted.is_replay else ""
    print(f"Mission {submitted.mission_id}{known}")
    if not options.follow and not options.out:
        return ALL_DONE
    mission = watch(client, submitted.mission_id)
    if options.out:
        print(client.download(mission.id, options.out))
    return ALL_DONE if mission.is_complete else SOME_FAILED


def follow(client: Client, options: argparse.Namespace) -> int:
    return ALL_DONE if watch(client, options.mission).is_complete else SOME_FAILED


def download(client: Client, options: argparse.Namespace) -> int:
    mission = client.mission(options.mission)
    if not options.now and not mission.is_collectable:
        mission = watch(client, options.mission)
    print(client.download(mission.id, options.out or Path(f"mission-{mission.id}.zip")))
    return ALL_DONE if mission.is_complete else SOME_FAILED


def watch(client: Client, mission_id: int) -> Mission:
    """Print a line for each change of a mission's counts, and for each failed item."""
    last = ""
    for event in client.follow(mission_id):
        state = event.data.get("mission")
        if event.kind == "item" and event.data["to"] == "failed":
            print(f"item {event.data['item']}: {event.data['reason']}")
        if state:
            counts = ", ".join(f"{count} {status}" for status, count in state["counts"].items() if count)
            line = f"{state['progress']:5.1f} %  {counts}  {state['cost']} {state['currency']}"
            if line != last:
                print(line, flush=True)
            last = line
    return client.mission(mission_id)


def read_request(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """Return the request body for a file and the options.  Raises ValueError or OSError."""
    file: Path = options.file
    if file.suffix.lower() == ".json":
        body = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(body, dict):
            raise ValueError(f"{file} is no request: it must hold an object with name, task_type and config.")
        return body
    if not options.type:
        raise ValueError("Give --type, such as text_to_image.")
    params: dict[str, Any] = {}
    for pair in options.param:
        name, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"--param {pair}: give NAME=VALUE.")
        params[name] = _value(value)
    body = {
        "name": options.name or file.stem,
        "task_type": options.type,
        "model": options.model,
        "config": params | {"batch_input": read_rows(client, file)},
    }
    return body | ({"spending_limit": options.limit} if options.limit else {})


def read_rows(client: Client, file: Path) -> list[Any]:
    """Return the rows of a file, with the names of images beside it replaced by references."""
    text = file.read_text(encoding="utf-8-sig")
    kind = file.suffix.lower()
    rows: list[Any]
    if kind == ".txt":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == ".jsonl":
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    elif kind == ".csv":
        table = csv.DictReader(text.splitlines(keepends=True), strict=True)
        rows = []
        for row in table:
            if None in row or None in row.values():
                raise ValueError(f"{file}, line {table.line_num}: not as many cells as the header has.")
            rows.append({name: _list(name, cell) for name, cell in row.items() if cell})
    else:
        raise ValueError(f"{file}: give a .json, .jsonl, .csv or .txt file.")
    uploaded: dict[Path, str] = {}

    def refer(value: Any) -> Any:
        if isinstance(value, list):
            return [refer(part) for part in value]
        if not isinstance(value, str) or Path(value).suffix.lower() not in IMAGES or value.startswith("http"):
            return value
        image = file.parent / value
        if not image.is_file():
            return value
        if image not in uploaded:
            uploaded[image] = client.upload(image).reference
        return uploaded[image]

    return [{name: refer(value) for name, value in row.items()} if isinstance(row, dict) else row for row in rows]


def price_of(estimate: Estimate | None) -> str:
    if estimate is None or estimate.amount is None:
        return "price unknown"
    return f"about {estimate.amount} {estimate.currency}".rstrip()


def _value(text: str) -> Any:
    """Return a parameter of the command line: JSON if it is a number, true, false, or a list."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, str | dict) or value is None else value


def _list(name: str, cell: str) -> Any:
    """Return a cell; cells of ``…Urls`` hold several values, separated by |."""
    return [part.strip() for part in cell.split("|")] if name.endswith("Urls") else cell


if __name__ == "__main__":
    sys.exit(main())
