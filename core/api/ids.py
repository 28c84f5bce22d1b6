"""Ids in URLs."""

from typing import Annotated

from ninja import Field

# A larger number is no id of ours, and SQLite would raise an error.
RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]
