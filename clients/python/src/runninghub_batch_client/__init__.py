"""Client of the RunningHub Batch API.

    with Client("https://batch.example.com", token) as client:
        submitted = client.submit(name="Foxes", task_type="text_to_image", rows=["a red fox"])
        mission = client.wait(submitted.mission_id)
        client.download(mission.id, Path("foxes.zip"))

``AsyncClient`` has the same methods as coroutines.
"""

from runninghub_batch_client.async_client import AsyncClient
from runninghub_batch_client.client import Client
from runninghub_batch_client.errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    Error,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    NotStored,
    RateLimited,
    ServerError,
    Unauthenticated,
)
from runninghub_batch_client.types import (
    Check,
    Estimate,
    Event,
    GroupCheck,
    Item,
    Media,
    Mission,
    Output,
    Problem,
    Submitted,
    SubmittedGroup,
)

__all__ = [
    "ApiError",
    "AsyncClient",
    "Check",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Error",
    "Estimate",
    "Event",
    "Forbidden",
    "Gone",
    "GroupCheck",
    "Invalid",
    "Item",
    "Media",
    "Mission",
    "NotFound",
    "NotStored",
    "Output",
    "Problem",
    "RateLimited",
    "ServerError",
    "Submitted",
    "SubmittedGroup",
    "Unauthenticated",
]
