"""Which resource a property or a parameter refers to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from astra.arenas.openapi.fields import snake_case
from astra.arenas.openapi.service import Resource
from astra.types import Json

KEY_SUFFIX = re.compile(r"_(?:id|uuid|key|code|number|no|ref)$")


def find_reference(
    resources: Mapping[str, Resource], own: Resource | None, name: str, schema: Mapping[str, Json]
) -> Resource | None:
    """The resource whose key a field or parameter holds, by its name or its description."""
    words = snake_case(name)
    stem = KEY_SUFFIX.sub("", words)
    embedded = isinstance(schema.get("properties"), dict)
    said = str(schema.get("description") or "").lower()
    for resource in resources.values():
        key = resource.fields[resource.key]
        if embedded:
            if resource.key not in schema["properties"]:
                continue
        elif schema.get("type") != key.schema.get("type") or "enum" in schema:
            continue
        noun = resource.noun
        plain = noun.replace("_", " ")
        tells_key = stem != words or (words == noun and re.search(r"\bid\b", said))
        if (tells_key or embedded) and (stem == noun or stem.endswith(f"_{noun}")):
            return resource
        if resource is not own and re.search(
            rf"\bid\b (?:of|for) (?:the|a|an|its)? ?(?:\w+ )?{re.escape(plain)}\b", said
        ):
            return resource
    return None
