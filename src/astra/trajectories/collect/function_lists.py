"""Lists of functions: in the OpenAI format and its variants, and the rows of `mcp_servers.jsonl`.

The published rows are `{"base_info": {"group_info": {...}, "tool_list": [...]}}` with
`server_title`, `server_name`, `server_description` and `domain` in `group_info`. Variants that
occur are read too: the parts beside `base_info`, lists as JSON text, schemas under other names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from astra.errors import Rejected
from astra.trajectories.collect.drafts import BrokenTool, RawServer, RawTool
from astra.types import Json

_PARAMETERS = ("parameters", "inputSchema", "input_schema", "arguments")
_OUTPUT = ("output_schema", "outputSchema", "returns", "response")
_EXAMPLES = ("examples", "input_examples", "inputExamples")
_LISTS = ("tools", "functions", "tool_list")


def is_function(value: Json) -> bool:
    """Whether a value looks like a function, with or without the `type: function` around it."""
    return isinstance(value, dict) and (
        isinstance(value.get("function"), dict)
        or ("name" in value and ("description" in value or any(k in value for k in _PARAMETERS)))
    )


def functions_of(value: Json) -> list[Json] | None:
    """The list of functions of a parsed file; None: it is no such file."""
    if isinstance(value, dict):
        value = next((value[k] for k in _LISTS if isinstance(value.get(k), list)), None)
        if value == []:
            return value  # a server without tools, which is told as such
    if isinstance(value, list) and value and any(map(is_function, value)):
        return value
    return None


def function_server(value: Json, name: str) -> RawServer:
    """The server of a list of functions; `name` where the file gives none."""
    about = value if isinstance(value, dict) else {}
    return RawServer(
        name=_text(about, "name", "title") or name,
        source="functions",
        tools=tools(functions_of(value) or []),
        description=_text(about, "description"),
        domain=_text(about, "domain"),
    )


def is_astra_row(value: Json) -> bool:
    """Whether a value looks like a row of `mcp_servers.jsonl`."""
    if not isinstance(value, dict):
        return False
    return "base_info" in value or ("tool_list" in value and "group_info" in value)


def astra_server(row: Json) -> RawServer:
    """The server of a published row; Rejected with what the row lacks."""
    base = _parsed(row.get("base_info", row), "base_info")
    if not isinstance(base, dict):
        raise Rejected("layout", f"base_info is {type(base).__name__}, no object")
    about = _parsed(base.get("group_info", {}), "group_info")
    if not isinstance(about, dict):
        raise Rejected("layout", f"group_info is {type(about).__name__}, no object")
    listed = _parsed(next((base[k] for k in _LISTS if k in base), None), "tool_list")
    if isinstance(listed, dict):
        listed = [{"name": k, **v} if isinstance(v, dict) else v for k, v in listed.items()]
    if not isinstance(listed, list):
        raise Rejected("layout", "the row has no tool_list")
    name = _text(about, "server_name", "server_title", "name", "title")
    return RawServer(
        name=name or _text(base, "server_name", "name"),
        source="astra",
        tools=tools(listed),
        description=_text(about, "server_description", "description"),
        domain=_text(about, "domain", "category"),
    )


def tools(listed: Sequence[Json]) -> tuple[RawTool | BrokenTool, ...]:
    """The tools of a list; what is none stands there with the reason."""
    found: list[RawTool | BrokenTool] = []
    for number, value in enumerate(listed, start=1):
        try:
            found.append(_tool(value))
        except Rejected as rejected:
            found.append(BrokenTool(f"number {number}", rejected))
    return tuple(found)


def _tool(value: Json) -> RawTool:
    about = value.get("function", value) if isinstance(value, dict) else value
    if not isinstance(about, dict) or not isinstance(about.get("name"), str) or not about["name"]:
        raise Rejected("layout", f"no function with a name: {value!r:.100}")
    hints = about.get("annotations")
    read_only = hints.get("readOnlyHint") if isinstance(hints, dict) else about.get("read_only")
    examples = next((about[k] for k in _EXAMPLES if isinstance(about.get(k), list)), [])
    output = _schema(about, _OUTPUT)
    return RawTool(
        name=about["name"],
        description=_text(about, "description"),
        parameters=_schema(about, _PARAMETERS),
        output_schema=output if isinstance(output, dict) else None,
        read_only=read_only if isinstance(read_only, bool) else None,
        examples=tuple(examples),
    )


def _schema(about: Mapping[str, Json], names: Sequence[str]) -> Json:
    found = next((about[name] for name in names if about.get(name) is not None), None)
    return _parsed(found, "a schema") if isinstance(found, str) and "{" in found else found


def _parsed(value: Json, what: str) -> Json:
    """The value, or what its JSON text says."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Rejected("layout", f"{what} is no JSON: {error!s:.200}") from error


def _text(about: Mapping[str, Json], *names: str) -> str:
    return next((v for name in names if isinstance(v := about.get(name), str) and v.strip()), "")
