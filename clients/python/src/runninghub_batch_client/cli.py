"""``rhb``: submit, follow and download missions from a shell."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from runninghub_batch_client.client import Client
from runninghub_batch_client.errors import Error
from runninghub_batch_client.types import Estimate, FileMissionFields, FileOptions, Mission

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
        help="rows that the server reads: text, CSV, XLSX, JSON Lines; or a whole request (.json)",
    )
    command.add_argument("--type", default="", metavar="TASK_TYPE", help="such as text_to_image; needed for rows")
    command.add_argument("--name", default="", help="the mission's name (the file's)")
    command.add_argument("--model", default="", help="an endpoint of /api/v1/models (the type's default)")
    command.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter for all rows")
    command.add_argument("--column", action="append", default=[], metavar="NAME=PARAMETER", help="what a column fills")
    command.add_argument("--sheet", default="", help="the sheet of a workbook (the first visible one)")
    command.add_argument("--images", type=Path, metavar="FOLDER", help="upload its images first; rows name them")
    command.add_argument("--limit", default="", metavar="AMOUNT", help="the most that the mission may cost")
    command.add_argument("--check", action="store_true", help="only check and price it")
    command.add_argument("--yes", action="store_true", help="accept guessed columns")
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
    """Check a file, print what was read and what it costs, then submit it.

    The key is the hash of the request, so that the same command again is the same mission.
    """
    file: Path = options.file
    is_request = file.suffix.lower() == ".json"
    digest = hashlib.sha256(file.read_bytes())
    if is_request:
        body = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(body, dict):
            raise ValueError(f"{file} is no request: it must hold an object with name, task_type and config.")
        check = client.check_body(body)
    else:
        fields, reading = fields_of(options), reading_of(options)
        digest.update(json.dumps([fields, reading], sort_keys=True, default=str).encode())
        for image in sorted(options.images.iterdir()) if options.images else []:
            if image.suffix.lower() in IMAGES:
                client.upload(image)
        check = client.check_file(file, reading, **fields)
    if check.input:
        print(check.input["summary"])
    for text in (*check.warnings, *(f"{problem.field}: {problem.message}" for problem in check.problems)):
        print(text, file=sys.stderr)
    if not check.is_valid:
        print("Nothing was submitted.", file=sys.stderr)
        return REFUSED
    print(f"{check.total_count} items, {price_of(check.estimate)}")
    if options.check:
        return ALL_DONE
    confirmed = pairs("--column", options.column)
    columns = (check.input or {}).get("columns", [])
    guesses = [column for column in columns if column["is_guess"] and column["column"] not in confirmed]
    if guesses and not options.yes:
        words = " ".join(f"--column {column['column']}={column['field']}" for column in guesses)
        print(f"Nothing was submitted: columns were guessed. Confirm with {words}, or --yes.", file=sys.stderr)
        return REFUSED
    key = "" if options.again else digest.hexdigest()
    submitted = (
        client.submit_body(body, key=key) if is_request else client.submit_file(file, reading, key=key, **fields)
    )
    note = ", submitted before; --again creates another" if submitted.is_replay else ""
    print(f"Mission {submitted.mission_id}{note}")
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


def fields_of(options: argparse.Namespace) -> FileMissionFields:
    """Return the mission's fields.  Raises ValueError."""
    if not options.type:
        raise ValueError("Give --type, such as text_to_image.")
    params = {name: _value(value) for name, value in pairs("--param", options.param).items()}
    fields: FileMissionFields = {"name": options.name or options.file.stem, "task_type": options.type}
    fields |= {"model": options.model, "params": params}
    if options.limit:
        try:
            fields["spending_limit"] = Decimal(options.limit)
        except InvalidOperation:
            raise ValueError(f"--limit {options.limit}: give an amount, such as 20.00.") from None
    return fields


def reading_of(options: argparse.Namespace) -> FileOptions:
    """Return the way in which the server reads the file.  Raises ValueError."""
    reading: FileOptions = {}
    if options.sheet:
        reading["sheet"] = options.sheet
    if options.column:
        reading["columns"] = pairs("--column", options.column)
    return reading


def pairs(option: str, arguments: Sequence[str]) -> dict[str, str]:
    """Return the values of a repeated option NAME=VALUE.  Raises ValueError."""
    for pair in arguments:
        if "=" not in pair:
            raise ValueError(f"{option} {pair}: give NAME=VALUE.")
    return dict(pair.split("=", 1) for pair in arguments)


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


if __name__ == "__main__":
    sys.exit(main())
