"""What stored records are built from: the base class, JSON values, canonical spelling, hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

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


_encode = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
).encode


def canonical_json(value: Json) -> str:
    """One spelling per value: sorted keys, no spaces, UTF-8, no NaN (raises ValueError)."""
    return _encode(value)


def content_hash(value: Json) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]
