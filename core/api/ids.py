"""Ids in addresses."""

from typing import Annotated

from ninja import Field

# What a database can hold.  More is no id of ours, and SQLite would raise.
RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]
