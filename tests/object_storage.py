"""A server that speaks S3 (moto), in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

import boto3
import requests

from core.storage.config import storages_of
from tests.ports import free_port

START_SECONDS = 120.0
KEYS = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret"}


class ObjectStorage:
    """One server with one bucket.  ``url`` is the STORAGE_URL that leads there."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        port = free_port(host)
        self.endpoint = f"http://{host}:{port}"
        self.url = f"s3://results-of-tests/site?endpoint_url={self.endpoint}&region_name=us-east-1"
        command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
        self._process = subprocess.Popen(command, env={**os.environ, **KEYS}, stderr=subprocess.DEVNULL)
        self._wait()
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        self._client.create_bucket(Bucket="results-of-tests")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                requests.get(self.endpoint, timeout=5)
                return
            except requests.RequestException:
                time.sleep(0.1)
        raise RuntimeError("moto did not start")

    def environment(self) -> dict[str, str]:
        """Return environment variables that select this storage."""
        return {"STORAGE_URL": self.url, **KEYS}

    def lead_here(self, settings: Any) -> None:
        """Select this storage for this process through pytest-django's ``settings``."""
        settings.STORAGE_URL = self.url
        for name, value in KEYS.items():
            setattr(settings, name, value)
        settings.STORAGES = settings.STORAGES | storages_of(self.url, settings.RESULTS_ROOT)

    def names(self) -> list[str]:
        """Return the names of all objects."""
        answer = self._client.list_objects_v2(Bucket="results-of-tests")
        return [entry["Key"] for entry in answer.get("Contents", ())]

    def empty(self) -> None:
        for key in self.names():
            self._client.delete_object(Bucket="results-of-tests", Key=key)

    def stop(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
