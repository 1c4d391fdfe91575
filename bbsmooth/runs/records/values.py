"""Types of single values in files: their ranges."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

Label = int | str
"""A class in files: its number, or in an open set, where numbers mean nothing, its name."""

Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0, le=1e300)]
Share = Annotated[float, Meta(ge=0, le=1)]
Shape = Annotated[list[Count], Meta(min_length=3, max_length=3)]
Settings = dict[str, Any]
"""What was asked for, by field of the settings classes."""
