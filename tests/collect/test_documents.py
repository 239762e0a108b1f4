"""OpenAPI documents as people have them: kept by default, in servers that an agent can be shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.configs.tools import CollectToolsConfig
from astra.errors import Rejected
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.trajectories.collect.drafts import RawServer, RawTool
from astra.trajectories.collect.normalize import normalize_server
from astra.trajectories.collect.openapi import openapi_server
from astra.trajectories.collect.selection import ToolSelection
from astra.trajectories.collect.stages import COLLECTED, collect, read_servers
from astra.trajectories.records import CollectedToolServer

Document = dict[str, Any]


def operation(name: str, summary: str, **more: Any) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": {"200": {}}, **more}


def document(paths: dict[str, Any], **more: Any) -> Document:
    return {"openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}, "paths": paths, **more}


async def collected(
    tmp_path: Path, value: Any, **options: Any
) -> tuple[list[CollectedToolServer], list[FailureRow]]:
    file = tmp_path / "document.json"
    file.write_text(json.dumps(value))
    folder = RunFolder.create(tmp_path / "run", {})
    await collect(CollectToolsConfig(file, out=folder.path, **options), folder)
    return read_servers(folder.path), list(folder.rows(f"{COLLECTED}.failed", FailureRow))


# --- Swagger 2.0 ------------------------------------------------------------------------------

PETS: Document = {
    "swagger": "2.0",
    "info": {"title": "Pets", "version": "1"},
    "consumes": ["application/json"],
    "parameters": {
        "page": {"name": "page", "in": "query", "type": "integer", "x-example": 2, "minimum": 1}
    },
    "paths": {
        "/pets/{petId}": {
            "parameters": [{"name": "petId", "in": "path", "required": True, "type": "string"}],
            "get": operation(
                "getPet",
                "Shows one pet of the shop.",
                responses={"200": {"schema": {"$ref": "#/definitions/Pet"}}},
            ),
            "post": operation(
                "renamePet",
                "Gives a pet another name.",
                parameters=[
                    {"name": "name", "in": "formData", "required": True, "type": "string"},
                    {"name": "photo", "in": "formData", "type": "file"},
                ],
                consumes=["multipart/form-data"],
            ),
        },
        "/pets": {
            "get": operation(
                "listPets",
                "Lists the pets, page by page.",
                parameters=[
                    {"$ref": "#/parameters/page"},
                    {
                        "name": "status",
                        "in": "query",
                        "type": "array",
                        "items": {"type": "string", "enum": ["sold", "free"]},
                        "collectionFormat": "csv",
                    },
                ],
                responses={
                    "200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/Pet"}}}
                },
            ),
            "post": operation(
                "addPet",
                "Adds a pet to the shop.",
                parameters=[
                    {
                        "name": "pet",
                        "in": "body",
                        "required": True,
                        "schema": {"$ref": "#/definitions/Pet"},
                    }
                ],
            ),
        },
    },
    "definitions": {
        "Pet": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "id": {"type": "integer", "readOnly": True},
                "name": {"type": "string"},
                "born": {"type": "string", "format": "date", "x-nullable": True},
            },
        }
    },
}


async def test_swagger_2_is_put_into_version_3(tmp_path: Path) -> None:
    (server,), failed = await collected(tmp_path, PETS)
    assert not failed
    tools = {tool.document.name: tool for tool in server.tools}
    shown = {name: tool.document.parameters for name, tool in tools.items()}
    assert set(shown) == {"getPet", "renamePet", "listPets", "addPet"}
    assert shown["getPet"]["required"] == ["petId"]
    assert tools["getPet"].output_schema is not None
    assert tools["getPet"].output_schema["properties"]["id"] == {"type": "integer"}
    assert shown["renamePet"]["required"] == ["petId", "name"]
    assert shown["renamePet"]["properties"]["photo"]["type"] == "string"
    assert shown["listPets"]["properties"]["page"]["minimum"] == 1
    assert shown["listPets"]["properties"]["page"]["examples"] == [2]
    assert shown["listPets"]["properties"]["status"]["items"]["enum"] == ["sold", "free"]
    assert set(shown["addPet"]["properties"]) == {"name", "born"}
    assert shown["addPet"]["properties"]["born"]["type"] == ["string", "null"]


# --- results ----------------------------------------------------------------------------------


def fields(count: int, words: str) -> dict[str, Any]:
    return {f"field_{i:04}": {"type": "string", "description": words} for i in range(count)}


@pytest.mark.parametrize("count", [1_500, 6_000])
async def test_a_large_result_schema_is_shortened(tmp_path: Path, count: int) -> None:
    event = {"type": "object", "properties": fields(count, "A documented field of the event.")}
    result = {
        "200": {"content": {"application/json": {"schema": {"type": "array", "items": event}}}}
    }
    listing = operation("list_events", "List events of all users.", responses=result)
    (server,), failed = await collected(tmp_path, document({"/e": {"get": listing}}), min_tools=1)
    assert not failed
    output = server.tools[0].output_schema
    assert output is not None and output["type"] == "array"
    assert "field_0000" in output["items"]["properties"]


async def test_results_that_refer_to_each_other_without_measure(tmp_path: Path) -> None:
    # Each kind refers to all others: expanded in whole, more values than there is memory for.
    kinds = {
        f"K{i}": {
            "type": "object",
            "properties": {f"k{j}": {"$ref": f"#/components/schemas/K{j}"} for j in range(12)},
        }
        for i in range(12)
    }
    result = {
        "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/K0"}}}}
    }
    listing = operation("get_graph", "Shows the graph of a repository.", responses=result)
    value = document({"/g": {"get": listing}}, components={"schemas": kinds})
    (server,), _ = await collected(tmp_path, value, min_tools=1)
    output = server.tools[0].output_schema
    assert output is not None and set(output["properties"]) == {f"k{j}" for j in range(12)}


def test_a_result_schema_that_is_none_costs_nothing_but_itself() -> None:
    broken = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}}
    tool = RawTool("get_a", "Gets the a of a thing.", output_schema=broken)
    made = normalize_server(RawServer("s", "functions", (tool,)), min_tools=1)
    assert made.server.tools[0].output_schema is None
    (note,) = made.notes
    assert note.kept and "left out" in note.reason


# --- wrappers and examples --------------------------------------------------------------------


def test_fields_of_a_list_in_a_wrapper_can_be_reached() -> None:
    schemas = {
        "Wrapper": {
            "type": "object",
            "properties": {"data": {"type": "array", "items": {"type": "object"}}, "links": {}},
        },
        "Station": {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}},
    }
    whole = {
        "allOf": [
            {"$ref": "#/components/schemas/Wrapper"},
            {
                "properties": {
                    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Station"}}
                }
            },
        ]
    }
    paths = {
        "/s": {
            "get": operation(
                "get_stations",
                "List all stations of the network.",
                responses={"200": {"content": {"application/json": {"schema": whole}}}},
            )
        },
        "/s/{id}": {
            "get": operation(
                "get_station",
                "Show one station of the network.",
                parameters=[
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string"},
                        "example": "efdb",
                    }
                ],
            )
        },
    }
    stations, station = openapi_server(document(paths, components={"schemas": schemas}), "x").tools
    assert isinstance(stations, RawTool) and isinstance(station, RawTool)
    data = stations.output_schema["properties"]["data"]
    assert data["items"]["properties"]["id"]["format"] == "uuid"
    assert station.parameters["properties"]["id"]["examples"] == ["efdb"]
    assert station.examples == ({"id": "efdb"},)


# --- large documents --------------------------------------------------------------------------


def large(tagged: bool) -> Document:
    """500 operations, of 20 resources."""
    paths: dict[str, Any] = {}
    for resource in range(20):
        for number in range(25):
            tags = {"tags": [f"group{resource}"]} if tagged else {}
            summary = f"Reads report {number} about resource {resource}."
            one = operation(f"report_{resource}_{number}", summary, **tags)
            paths[f"/v1/resource{resource}/{{id}}/report{number}"] = {"get": one}
    return document(paths)


@pytest.mark.parametrize("tagged", [True, False])
async def test_a_large_document_becomes_servers_of_few_tools(tmp_path: Path, tagged: bool) -> None:
    servers, failed = await collected(tmp_path, large(tagged))
    assert not failed
    assert sum(len(server.tools) for server in servers) == 500
    assert all(3 <= len(server.tools) <= 24 for server in servers)
    assert len({server.name for server in servers}) == len(servers) == 40
    for server in servers:
        resources = {tool.document.name.split("_")[1] for tool in server.tools}
        assert len(resources) == 1
    word = "group3" if tagged else "resource3"
    assert f"Shop: {word} (1 of 2)" in {server.name for server in servers}


def test_small_groups_stand_together() -> None:
    tools = tuple(
        RawTool(f"t{i}", "Reads.", tags=(f"tag{i}",) if i < 4 else ("big",), operation=f"get /{i}")
        for i in range(30)
    )
    parts = ToolSelection(max_tools=24).split(RawServer("s", "openapi", tools), min_tools=3)
    assert [(part.name, len(part.tools)) for part in parts] == [
        ("s: big (1 of 2)", 13),
        ("s: big (2 of 2)", 13),
        ("s: other", 4),
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"tags": ["Sales"]}, {"list_orders", "pay_order"}),
        ({"include": ["list_*"]}, {"list_orders", "list_pets"}),
        ({"include": ["GET /pets*"]}, {"list_pets"}),
        ({"exclude": ["*pets*"]}, {"list_orders", "pay_order"}),
        ({"tags": ["sales"], "exclude": ["post *"]}, {"list_orders"}),
    ],
)
async def test_tools_are_chosen_by_tag_and_pattern(
    tmp_path: Path, options: dict[str, Any], names: set[str]
) -> None:
    value = document(
        {
            "/orders": {"get": operation("list_orders", "List all orders.", tags=["sales"])},
            "/orders/{id}/pay": {"post": operation("pay_order", "Pay an order.", tags=["sales"])},
            "/pets": {"get": operation("list_pets", "List all pets.", tags=["pets"])},
        }
    )
    (server,), _ = await collected(tmp_path, value, min_tools=1, **options)
    assert {tool.document.name for tool in server.tools} == names


def test_a_selection_without_tools_is_told() -> None:
    server = RawServer("s", "openapi", (RawTool("a"), RawTool("b")))
    with pytest.raises(Rejected, match="none of its 2 tools") as rejected:
        ToolSelection(include=["c*"]).selected(server)
    assert rejected.value.check == "selection"


# --- faults -----------------------------------------------------------------------------------


async def test_one_odd_operation_costs_itself(tmp_path: Path) -> None:
    odd = operation("upload", "Uploads a picture.", requestBody={"content": {"image/png": {}}})
    good = {f"/{n}": {"get": operation(f"get_{n}", f"Get the {n} of a city.")} for n in "abc"}
    value = document(good | {"/upload": {"post": odd}})
    (server,), failed = await collected(tmp_path, value)
    assert not failed and len(server.tools) == 3
    (tmp_path / "strict").mkdir()
    servers, failed = await collected(tmp_path / "strict", value, strict=True)
    assert not servers and [failure.check for failure in failed] == ["body"]


async def test_the_size_of_a_document_is_an_option(tmp_path: Path) -> None:
    good = {f"/{n}": {"get": operation(f"get_{n}", f"Get the {n} of a city.")} for n in "abc"}
    value = document(good, **{"x-filler": "x" * (2 << 20)})
    servers, failed = await collected(tmp_path, value, max_document_mib=1)
    assert not servers and "max_document_mib" in failed[0].message
    (tmp_path / "more").mkdir()
    servers, failed = await collected(tmp_path / "more", value, max_document_mib=3)
    assert servers and not failed
