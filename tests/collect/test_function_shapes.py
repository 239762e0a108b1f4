"""Functions as libraries and data sets write them: no argument is lost, odd forms are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.errors import Rejected
from astra.trajectories.collect.drafts import BrokenTool, RawServer
from astra.trajectories.collect.function_lists import functions_of
from astra.trajectories.collect.function_shapes import raw_tool
from astra.trajectories.collect.normalize import normalize_server
from astra.trajectories.collect.sources import drafts
from astra.trajectories.collect.type_names import named_type

ABOUT = {"name": "get_weather", "description": "Current weather of a city, with the wind."}
CITY = {"type": "string", "description": "City name"}
DAYS = {"type": "integer", "description": "Days ahead"}
SCHEMA = {
    "type": "object",
    "properties": {"city": CITY, "days": DAYS},
    "required": ["city"],
}

SHAPES: dict[str, dict[str, Any]] = {
    "openai": {"type": "function", "function": ABOUT | {"parameters": SCHEMA, "strict": True}},
    "openai responses": {"type": "function", **ABOUT, "parameters": SCHEMA},
    "mcp": ABOUT | {"inputSchema": SCHEMA, "_meta": {"a": 1}, "icons": [{"src": "x"}]},
    "anthropic": ABOUT | {"input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}},
    "bedrock": {"toolSpec": ABOUT | {"inputSchema": {"json": SCHEMA}}},
    "gemini": ABOUT
    | {
        "parameters": {
            "type": "OBJECT",
            "properties": {"city": CITY | {"type": "STRING"}, "days": DAYS | {"type": "INTEGER"}},
            "required": ["city"],
        }
    },
    "gemini, as json schema": ABOUT | {"parametersJsonSchema": SCHEMA},
    "bfcl": ABOUT | {"parameters": SCHEMA | {"type": "dict"}},
    "xlam": ABOUT
    | {
        "parameters": {
            "city": {"description": "City name", "type": "str", "default": ""},
            "days": {"description": "Days ahead", "type": "int, optional", "default": ""},
        }
    },
    "a map that lists what is required": ABOUT
    | {"parameters": {"city": CITY, "days": DAYS}, "required": ["city"]},
    "a map that marks what is required": ABOUT
    | {"parameters": {"city": CITY | {"required": True}, "days": DAYS | {"required": False}}},
    "langchain": ABOUT | {"args": {"city": CITY, "days": DAYS | {"default": None}}},
    "langchain, schema": ABOUT | {"args_schema": SCHEMA},
    "smolagents": ABOUT
    | {"inputs": {"city": CITY, "days": DAYS | {"nullable": True}}, "output_type": "string"},
    "cohere": ABOUT
    | {
        "parameter_definitions": {
            "city": CITY | {"type": "str", "required": True},
            "days": DAYS | {"type": "int"},
        }
    },
    "toolbench": ABOUT
    | {
        "required_parameters": [{"name": "city", **CITY, "type": "STRING", "default": ""}],
        "optional_parameters": [{"name": "days", **DAYS, "type": "INTEGER", "default": ""}],
    },
    "a list of parameters": ABOUT
    | {
        "parameters": [
            {"name": "city", "required": True, **CITY},
            {"name": "days", "in": "query", "schema": {"type": "integer"}, **DAYS},
        ]
    },
    "a schema without `properties`": ABOUT
    | {"parameters": {"type": "object", "city": CITY, "days": DAYS, "required": ["city"]}},
    "json text": ABOUT | {"parameters": json.dumps(SCHEMA)},
}


def collected(*functions: Any) -> list[dict[str, Any]]:
    server = RawServer("s", "functions", tuple(raw_tool(value) for value in functions))
    made = normalize_server(server, min_tools=1)
    return [dict(tool.document.parameters) for tool in made.server.tools]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_known_shape_keeps_its_arguments(shape: str) -> None:
    (parameters,) = collected(SHAPES[shape])
    properties = parameters["properties"]
    for name, kind in (("city", "string"), ("days", "integer")):
        given = properties[name]["type"]
        assert kind in (given if isinstance(given, list) else [given])
        assert properties[name]["description"] == SCHEMA["properties"][name]["description"]
    assert set(properties) == {"city", "days"} and parameters["required"] == ["city"]


UNKNOWN: dict[str, dict[str, Any]] = {
    "another name": {"signature": {"city": "string"}},
    "a list under another name": {"fields": [{"id": "city", "kind": "string"}]},
    "a map of numbers": {"parameters": {"city": 3, "days": 4}},
    "a map of objects that say nothing": {"parameters": {"city": {"kind": "text"}}},
    "a list of parameters without names": {"parameters": [{"type": "string"}]},
    "a list of names": {"parameters": ["city", "days"]},
    "two parameters of one name": {"parameters": [{"name": "a"}, {"name": "a"}]},
    "a type that nobody knows": {"parameters": {"city": {"type": "Frobnicator"}}},
    "text that is not JSON": {"parameters": "{city: string"},
}


@pytest.mark.parametrize("shape", UNKNOWN)
def test_unknown_shapes_are_refused(shape: str) -> None:
    with pytest.raises(Rejected) as refused:
        collected(ABOUT | UNKNOWN[shape])
    assert refused.value.check in ("layout", "schema") and refused.value.reason


@pytest.mark.parametrize(
    "given", [{}, {"parameters": {}}, {"parameters": None}, {"inputSchema": {"type": "object"}}]
)
def test_functions_without_arguments(given: dict[str, Any]) -> None:
    assert collected(ABOUT | given) == [{"type": "object", "properties": {}}]


@pytest.mark.parametrize("name", ["type", "properties", "required", "items", "title", "enum"])
def test_parameters_may_have_the_names_of_keywords(name: str) -> None:
    flat = {name: {"type": "str", "description": "What is meant."}, "city": {"type": "str"}}
    (parameters,) = collected(ABOUT | {"parameters": flat})
    assert set(parameters["properties"]) == {name, "city"}


def test_defaults_that_say_nothing() -> None:
    flat = {
        "unit": {"type": "str", "default": "celsius"},
        "days": {"type": "int", "default": ""},
        "tags": {"type": "List[str], optional", "default": ""},
    }
    (parameters,) = collected(ABOUT | {"parameters": flat})
    assert parameters["properties"]["unit"]["default"] == "celsius"
    assert "default" not in parameters["properties"]["days"]
    assert parameters["properties"]["tags"] == {"type": "array", "items": {"type": "string"}}
    assert parameters["required"] == ["days"]
    # In Python an empty text is a default like any other.
    (parameters,) = collected(ABOUT | {"args": {"unit": {"type": "string", "default": ""}}})
    assert parameters["properties"]["unit"]["default"] == "" and "required" not in parameters


@pytest.mark.parametrize(
    ("name", "schema", "required"),
    [
        ("str", {"type": "string"}, None),
        ("str, optional", {"type": "string"}, False),
        ("number (required)", {"type": "number"}, True),
        ("List[Dict[str, Any]]", {"type": "array", "items": {"type": "object"}}, None),
        ("Optional[int]", {"type": ["integer", "null"]}, False),
        ("Union[int, str]", {"type": ["integer", "string"]}, None),
        ("int | None", {"type": ["integer", "null"]}, None),
        ("Literal['a', 'b']", {"enum": ["a", "b"]}, None),
        ("string[]", {"type": "array", "items": {"type": "string"}}, None),
        (
            "Map<String, Integer>",
            {"type": "object", "additionalProperties": {"type": "integer"}},
            None,
        ),
        ("array of numbers", {"type": "array", "items": {"type": "number"}}, None),
        ("Tuple[int, str]", {"type": "array"}, None),
        ("DATE (YYYY-MM-DD)", {"type": "string", "format": "date"}, None),
        ("typing.Any", {}, None),
    ],
)
def test_names_of_types(name: str, schema: dict[str, Any], required: bool | None) -> None:
    assert named_type(name) == (schema, required)


@pytest.mark.parametrize(
    "name", ["Callable", "frobnicator", "List[Foo]", "List[" * 30 + "int" + "]" * 30]
)
def test_names_that_are_no_types(name: str) -> None:
    with pytest.raises(ValueError, match="type"):
        named_type(name)


TWO = [SHAPES["openai"], SHAPES["mcp"] | {"name": "get_wind"}]


@pytest.mark.parametrize(
    "value",
    [
        TWO,
        {"tools": TWO},
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": TWO}},
        {"toolConfig": {"tools": [*TWO, {"cachePoint": {"type": "default"}}]}},
        {"tools": [{"functionDeclarations": TWO}]},
        [{"function_declarations": TWO}],
        {"query": "How warm is it?", "tools": json.dumps(TWO), "answers": "[]"},
        {"id": "simple_0", "question": [[]], "function": TWO},
    ],
)
def test_lists_of_functions_in_their_wrappers(value: Any) -> None:
    assert functions_of(value) == TWO


@pytest.mark.parametrize(
    "value", [{"tools": "[not json"}, {"a": 1}, [1, 2], {"result": 4}, "x", None]
)
def test_what_holds_no_functions(value: Any) -> None:
    assert functions_of(value) is None


def test_rows_of_a_data_set_are_servers(tmp_path: Path) -> None:
    rows = [{"query": "q", "tools": json.dumps(TWO), "answers": "[]"}] * 2
    (tmp_path / "array.json").write_text(json.dumps(rows))
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("array.json", "lines.jsonl"):
        servers = [draft.content for draft in drafts(tmp_path / name)]
        assert len(servers) == 2
        for server in servers:
            assert isinstance(server, RawServer)
            assert not any(isinstance(tool, BrokenTool) for tool in server.tools)
            assert [tool.name for tool in server.tools] == ["get_weather", "get_wind"]


def test_lines_of_servers_are_not_functions(tmp_path: Path) -> None:
    server = {"name": "weather", "description": "Weather of cities.", "tools": TWO}
    (tmp_path / "servers.jsonl").write_text(json.dumps(server) + "\n" + json.dumps(server) + "\n")
    for draft in drafts(tmp_path / "servers.jsonl"):
        assert isinstance(draft.content, RawServer) and len(draft.content.tools) == 2
