"""A minimal client of RunningHub's wire format: it hides nothing and repairs nothing."""

import time
from typing import Any, Self

import requests

IMAGE = "rhart-image-v1/text-to-image"
EDIT = "rhart-image-v1/edit"
VIDEO = "rhart-video-s/text-to-video"


class Caller:
    def __init__(self, url: str, key: str = "key") -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.session.close()

    def post(self, path: str, content: Any, *, timeout: float = 60) -> requests.Response:
        return self.session.post(f"{self.url}{path}", json=content, timeout=timeout)

    def get(self, path: str, *, timeout: float = 60, **more: Any) -> requests.Response:
        return self.session.get(path if "://" in path else f"{self.url}{path}", timeout=timeout, **more)

    def submit_raw(
        self, prompt: str = "a teapot", endpoint: str = IMAGE, *, timeout: float = 60, **params: Any
    ) -> requests.Response:
        extra = {"duration": "10"} if "video" in endpoint else {}
        params = {"prompt": prompt, "aspectRatio": "1:1", **extra, **params}
        return self.post(f"/openapi/v2/{endpoint}", params, timeout=timeout)

    def submit(self, prompt: str = "a teapot", endpoint: str = IMAGE, **params: Any) -> dict[str, Any]:
        return dict(self.submit_raw(prompt, endpoint, **params).json())

    def query(self, task_id: str) -> dict[str, Any]:
        return dict(self.post("/openapi/v2/query", {"taskId": task_id}).json())

    def wait(self, task_id: str, seconds: float = 60) -> dict[str, Any]:
        """Query until the task is final."""
        deadline = time.monotonic() + seconds
        while (answer := self.query(task_id))["status"] in ("QUEUED", "RUNNING"):
            assert time.monotonic() < deadline, answer
            time.sleep(0.02)
        return answer

    def finish(self, prompt: str = "a teapot", endpoint: str = IMAGE, **params: Any) -> dict[str, Any]:
        return self.wait(self.submit(prompt, endpoint, **params)["taskId"])

    def upload(self, name: str = "a.png", body: bytes = b"picture") -> requests.Response:
        url = f"{self.url}/openapi/v2/media/upload/binary"
        return self.session.post(url, files={"file": (name, body, "image/png")}, timeout=60)
