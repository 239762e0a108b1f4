"""What stored records are built from: the base class, JSON values, canonical spelling, hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
)

Json = Any
"""A JSON value. Spelled `Any` because recursive JSON types cost more than they catch."""
Scalar = str | int | float | bool
Answer = Scalar | tuple[Scalar, ...]
"""An answer: one value, or a list of them."""
Language = Literal["en", "zh"]


class Record(BaseModel):
    """Base of all stored records: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values. What was computed from the old ones is not copied."""
        copied = super().model_copy(update=update, deep=deep)
        for name in vars(copied).keys() - type(self).model_fields.keys():
            del vars(copied)[name]
        return copied


class GrownRecord(Record):
    """A record with fields that came later. While they hold nothing they are not stored, so that
    what was stored before they came keeps its hash."""

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_what_came_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stored: dict[str, Any] = handler(self)
        return {n: value for n, value in stored.items() if value or n not in self.later}


_encode = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
).encode


def canonical_json(value: Json) -> str:
    """One spelling per value: sorted keys, no spaces, UTF-8, no NaN (raises ValueError)."""
    return _encode(value)


def content_hash(value: Json) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]
