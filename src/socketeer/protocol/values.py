"""Values of Python that no format knows by itself, and what is written for them."""

from __future__ import annotations

import dataclasses
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

__all__ = ["simplify"]


def simplify(value: Any) -> Any:
    """Give a value in plainer types, one step at a time: what it holds may need the same.

    Knows dataclasses, named tuples, enumerations, dates and times, ``UUID``, ``Decimal``, ``msgspec.Struct`` and
    pydantic models. Raises ``TypeError`` for anything else.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, type):
        # Recognized by what they offer: neither library is imported for those who do not use it.
        if hasattr(value, "__struct_fields__"):
            return _simplify_struct(value)
        if hasattr(type(value), "__pydantic_serializer__") and hasattr(value, "model_dump"):
            return value.model_dump(by_alias=True)
    raise TypeError(f"{type(value).__name__} {value!r:.80}")


def _simplify_struct(struct: Any) -> Any:
    config = struct.__struct_config__
    values = [getattr(struct, field) for field in struct.__struct_fields__]
    if config.array_like:
        return values if config.tag is None else [config.tag, *values]
    fields = {} if config.tag is None else {config.tag_field: config.tag}
    return fields | dict(zip(struct.__struct_encode_fields__, values, strict=True))
