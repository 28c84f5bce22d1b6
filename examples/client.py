#!/usr/bin/env python3
"""Run a CSV of prompts as one mission over the JSON API and download the results.

Needs only `requests`.

    export BATCH_TOKEN=rhb_...
    python examples/client.py prompts.csv --type image_to_image --param aspectRatio=1:1

Each row is one item; columns are named after the model's parameters (and custom_id).  Images beside
the CSV are uploaded first.  Run it again after any error: the same rows under the same name are the
same mission, and are paid once.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

IMAGES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".heic", ".heif", ".avif", ".bmp", ".tif", ".tiff"}
WAIT_SECONDS = 2
LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, requests.HTTPError)


class Api:
    """The few calls that this example needs.  A refusal ends the program with the API's message."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self.session.request(method, f"{self.url}{path}", timeout=(10, 60), **options)
        if answer.status_code >= 500:
            answer.raise_for_status()
        if not answer.ok:
            error = answer.json()
            lines = [error["message"], *(f"  {e['field']}: {e['message']}" for e in error["errors"])]
            sys.exit("\n".join([*lines, f"({error['error']}, request {error['request_id']})"]))
        return answer

    def upload(self, image: Path) -> str:
        with image.open("rb") as file:
            answer = self.call("POST", "/api/v1/media/upload", files={"file": (image.name, file)})
        return f"media:{answer.json()['data']['id']}"

    def submit(self, mission: dict[str, Any]) -> dict[str, Any]:
        """Submit the mission under a key of its digest, so that a repetition is not paid again."""
        body = json.dumps(mission, sort_keys=True).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": hashlib.sha256(body).hexdigest()}
        data: dict[str, Any] = self.call("POST", "/api/v1/missions/submit", data=body, headers=headers).json()["data"]
        return data

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event once, over as many connections as it takes."""
        last_id = "0"
        while True:
            try:
                with self.call("GET", path, stream=True, headers={"Last-Event-ID": last_id}) as answer:
                    for message in messages(answer):
                        yield message["event"], json.loads(message["data"])
                        last_id = message.get("id", last_id)
            except LOST:
                print("\nThe connection broke off; trying again.")
            time.sleep(WAIT_SECONDS)

    def download(self, path: str, target: Path) -> None:
        part = target.with_name(f"{target.name}.part")
        with self.call("GET", path, stream=True) as answer, part.open("wb") as file:
            for piece in answer.iter_content(1024 * 1024):
                file.write(piece)
        part.replace(target)


def messages(answer: requests.Response) -> Iterator[dict[str, str]]:
    """Yield Server-Sent Events: lines of "name: value", a blank line after each message."""
    message: dict[str, str] = {}
    for line in answer.iter_lines():
        if line and not line.startswith(b":"):
            name, _, value = line.decode().partition(": ")
            message[name] = value
        elif not line:
            if "data" in message:
                yield message
            message = {}


def read_rows(path: Path, api: Api) -> list[dict[str, Any]]:
    """Return the rows with local images uploaded.  Cells of "…Urls" hold several, split by |."""
    references: dict[Path, str] = {}

    def reference(cell: str) -> str:
        image = path.parent / cell
        if Path(cell).suffix.lower() not in IMAGES or not image.is_file():
            return cell
        if image not in references:
            references[image] = api.upload(image)
        return references[image]

    with path.open(encoding="utf-8-sig", newline="") as file:
        return [
            {
                name: [reference(part.strip()) for part in cell.split("|")]
                if name.endswith("Urls")
                else reference(cell)
                for name, cell in row.items()
                if cell
            }
            for row in csv.DictReader(file)
        ]


def follow(api: Api, path: str) -> dict[str, Any]:
    """Print how the mission goes until it has ended, and return how it stands then."""
    for event, data in api.events(path):
        mission: dict[str, Any] = data["mission"] or sys.exit("The mission was deleted.")
        counts = ", ".join(f"{count} {status}" for status, count in mission["counts"].items() if count)
        print(
            f"\r\033[K{mission['progress']:5.1f} %  {counts}  {mission['cost']} {mission['currency']}",
            end="",
            flush=True,
        )
        if data.get("to") == "failed" and data.get("item"):
            print(f"\n  item {data['item']}: {data['reason']}")
        if event == "end":
            break
    print()
    return mission


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, metavar="CSV", help="a row per item")
    parser.add_argument("--type", required=True, metavar="TASK_TYPE", help="text_to_image, image_to_image, ...")
    parser.add_argument("--model", default="", help="an endpoint of /api/v1/models (the type's default)")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter for all rows")
    parser.add_argument("--name", default="", help="the mission's name (the file's); another name is another mission")
    parser.add_argument("--out", type=Path, metavar="ZIP", help="where the results go (NAME_results.zip)")
    parser.add_argument("--url", default=os.environ.get("BATCH_URL", "http://127.0.0.1:8000"), help="or $BATCH_URL")
    parser.add_argument("--token", default=os.environ.get("BATCH_TOKEN", ""), help="or $BATCH_TOKEN, which is safer")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> int:
    api = Api(arguments.url, arguments.token)
    name = arguments.name or arguments.csv.stem
    config = dict(pair.split("=", 1) for pair in arguments.param) | {"batch_input": read_rows(arguments.csv, api)}
    mission = {"name": name, "task_type": arguments.type, "model": arguments.model, "config": config}
    submitted = api.submit(mission)
    estimate = submitted["estimate"]
    print(f"Mission {submitted['api_mission_id']}: {submitted['total_count']} items, about", end=" ")
    print(f"{estimate['amount'] or '?'} {estimate['currency']}")
    ended = follow(api, submitted["urls"]["events"])
    target = arguments.out or Path(f"{name}_results.zip")
    api.download(submitted["urls"]["download"], target)
    print(f"{ended['status']}: {target}")
    return 0 if ended["counts"]["completed"] == ended["total_count"] else 1


def main() -> int:
    try:
        return run(parse_arguments())
    except LOST as error:
        sys.exit(f"{error}\nRun this again: what was submitted goes on, and is not paid twice.")


if __name__ == "__main__":
    sys.exit(main())
