"""Files and rows that hold functions: lists, wrappers around them, data sets, `mcp_servers.jsonl`.

A published row is `{"base_info": {"group_info": {...}, "tool_list": [...]}}` with `server_title`,
`server_name`, `server_description` and `domain` in `group_info`. Variants that occur are read, too:
the parts without `base_info`, lists as JSON text. Wrappers: `{"tools": […]}`, answers of JSON-RPC
(`{"result": {"tools": […]}}`), Bedrock's `toolConfig`, Gemini's `functionDeclarations`. Rows of
data sets (xLAM, Hermes, Toucan: `tools`; BFCL: `function`) hold the functions of one task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from astra.errors import Rejected
from astra.trajectories.collect.drafts import BrokenTool, RawServer, RawTool
from astra.trajectories.collect.function_shapes import LISTS, is_function, parsed, raw_tool, text_of
from astra.types import Json

_DECLARATIONS = ("functionDeclarations", "function_declarations")
_WRAPPERS = ("result", "toolConfig", "tool_config")
MOST_WRAPPERS = 4


def functions_of(value: Json) -> list[Json] | None:
    """The list of functions of a parsed file or row. None: it is of another kind."""
    for _ in range(MOST_WRAPPERS):
        if not isinstance(value, dict):
            break
        key = next((k for k in (*LISTS, *_DECLARATIONS, *_WRAPPERS) if _holds(value, k)), None)
        if key is None:
            return [value] if is_function(value) else None
        try:
            value = parsed(value[key], key)
        except Rejected:
            return None
    if value == []:
        return value  # a server without tools: rejected by `min_tools`, not as an unknown kind
    if not isinstance(value, list):
        return None
    functions = list(_declared(value))
    return functions if any(map(is_function, functions)) else None


def _holds(value: dict[str, Json], key: str) -> bool:
    inner = value.get(key)
    if key in _WRAPPERS:
        return isinstance(inner, dict)
    # Hermes and xLAM keep the list as text, so that tables have one type per column.
    return isinstance(inner, list) or (isinstance(inner, str) and inner.lstrip()[:1] == "[")


def _declared(values: Sequence[Json]) -> Iterator[Json]:
    """The functions of a list, those inside Gemini's tools included."""
    for value in values:
        inner = [value[k] for k in _DECLARATIONS if isinstance(value, dict) and k in value]
        if inner and isinstance(inner[0], list):
            yield from inner[0]
        # Marks where Bedrock caches, not a tool.
        elif not (isinstance(value, dict) and set(value) == {"cachePoint"}):
            yield value


def function_server(value: Json, name: str) -> RawServer:
    """The server of a list of functions; `name` where the file gives none."""
    about = value if isinstance(value, dict) else {}
    return RawServer(
        name=text_of(about, "name", "title") or name,
        source="functions",
        tools=_tools(functions_of(value) or []),
        description=text_of(about, "description"),
        domain=text_of(about, "domain"),
    )


def is_astra_row(value: Json) -> bool:
    """Whether a value looks like a row of `mcp_servers.jsonl`."""
    if not isinstance(value, dict):
        return False
    return "base_info" in value or ("tool_list" in value and "group_info" in value)


def astra_server(row: Json) -> RawServer:
    """The server of a published row. Raises Rejected with what the row lacks."""
    base = parsed(row.get("base_info", row), "base_info")
    if not isinstance(base, dict):
        raise Rejected("layout", f"base_info is {type(base).__name__}, not an object")
    about = parsed(base.get("group_info", {}), "group_info")
    if not isinstance(about, dict):
        raise Rejected("layout", f"group_info is {type(about).__name__}, not an object")
    tools = parsed(next((base[k] for k in LISTS if k in base), None), "tool_list")
    if isinstance(tools, dict):
        tools = [{"name": k, **v} if isinstance(v, dict) else v for k, v in tools.items()]
    if not isinstance(tools, list):
        raise Rejected("layout", "the row has no tool_list")
    name = text_of(about, "server_name", "server_title", "name", "title")
    return RawServer(
        name=name or text_of(base, "server_name", "name"),
        source="astra",
        tools=_tools(tools),
        description=text_of(about, "server_description", "description"),
        domain=text_of(about, "domain", "category"),
    )


def _tools(values: Sequence[Json]) -> tuple[RawTool | BrokenTool, ...]:
    tools: list[RawTool | BrokenTool] = []
    for number, value in enumerate(values, start=1):
        try:
            tools.append(raw_tool(value))
        except Rejected as rejected:
            name = value.get("name") if isinstance(value, dict) else None
            tools.append(
                BrokenTool(name if isinstance(name, str) and name else f"number {number}", rejected)
            )
    return tuple(tools)
