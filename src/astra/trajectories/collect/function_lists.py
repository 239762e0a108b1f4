"""Lists of functions: in the OpenAI format and its variants, and the rows of `mcp_servers.jsonl`.

A published row is `{"base_info": {"group_info": {...}, "tool_list": [...]}}` with `server_title`,
`server_name`, `server_description` and `domain` in `group_info`. Variants that occur are read, too:
the parts without `base_info`, lists as JSON text, schemas under other names.
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
    """The list of functions of a parsed file. None: the file is of another kind."""
    if isinstance(value, dict):
        value = next((value[k] for k in _LISTS if isinstance(value.get(k), list)), None)
        if value == []:
            return value  # a server without tools: rejected by `min_tools`, not as an unknown kind
    if isinstance(value, list) and value and any(map(is_function, value)):
        return value
    return None


def function_server(value: Json, name: str) -> RawServer:
    """The server of a list of functions; `name` where the file gives none."""
    about = value if isinstance(value, dict) else {}
    return RawServer(
        name=_text(about, "name", "title") or name,
        source="functions",
        tools=_tools(functions_of(value) or []),
        description=_text(about, "description"),
        domain=_text(about, "domain"),
    )


def is_astra_row(value: Json) -> bool:
    """Whether a value looks like a row of `mcp_servers.jsonl`."""
    if not isinstance(value, dict):
        return False
    return "base_info" in value or ("tool_list" in value and "group_info" in value)


def astra_server(row: Json) -> RawServer:
    """The server of a published row. Raises Rejected with what the row lacks."""
    base = _parsed(row.get("base_info", row), "base_info")
    if not isinstance(base, dict):
        raise Rejected("layout", f"base_info is {type(base).__name__}, not an object")
    about = _parsed(base.get("group_info", {}), "group_info")
    if not isinstance(about, dict):
        raise Rejected("layout", f"group_info is {type(about).__name__}, not an object")
    tools = _parsed(next((base[k] for k in _LISTS if k in base), None), "tool_list")
    if isinstance(tools, dict):
        tools = [{"name": k, **v} if isinstance(v, dict) else v for k, v in tools.items()]
    if not isinstance(tools, list):
        raise Rejected("layout", "the row has no tool_list")
    name = _text(about, "server_name", "server_title", "name", "title")
    return RawServer(
        name=name or _text(base, "server_name", "name"),
        source="astra",
        tools=_tools(tools),
        description=_text(about, "server_description", "description"),
        domain=_text(about, "domain", "category"),
    )


def _tools(values: Sequence[Json]) -> tuple[RawTool | BrokenTool, ...]:
    tools: list[RawTool | BrokenTool] = []
    for number, value in enumerate(values, start=1):
        try:
            about = value.get("function", value) if isinstance(value, dict) else value
            name = about.get("name") if isinstance(about, dict) else None
            if not isinstance(name, str) or not name:
                raise Rejected("layout", f"not a function with a name: {value!r:.100}")
            hints = about.get("annotations")
            read_only = (
                hints.get("readOnlyHint") if isinstance(hints, dict) else about.get("read_only")
            )
            examples = next((about[k] for k in _EXAMPLES if isinstance(about.get(k), list)), [])
            output = _schema(about, _OUTPUT)
            tools.append(
                RawTool(
                    name=name,
                    description=_text(about, "description"),
                    parameters=_schema(about, _PARAMETERS),
                    output_schema=output if isinstance(output, dict) else None,
                    read_only=read_only if isinstance(read_only, bool) else None,
                    examples=tuple(examples),
                )
            )
        except Rejected as rejected:
            tools.append(BrokenTool(f"number {number}", rejected))
    return tuple(tools)


def _schema(about: Mapping[str, Json], names: Sequence[str]) -> Json:
    value = next((about[name] for name in names if about.get(name) is not None), None)
    return _parsed(value, "a schema") if isinstance(value, str) and "{" in value else value


def _parsed(value: Json, what: str) -> Json:
    """The value, parsed if it is JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Rejected("layout", f"{what} is not JSON: {error!s:.200}") from error


def _text(about: Mapping[str, Json], *names: str) -> str:
    return next((v for name in names if isinstance(v := about.get(name), str) and v.strip()), "")
