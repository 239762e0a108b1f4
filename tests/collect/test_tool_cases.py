"""Lists and documents that once gave wrong tools: what `astra tools collect` makes of each."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from astra.configs.tools import CollectToolsConfig
from astra.runs.folder import RunFolder
from astra.trajectories.collect.drafts import ToolNote
from astra.trajectories.collect.schemas import accepts
from astra.trajectories.collect.stages import collect, read_servers
from astra.trajectories.records import CollectedTool

TEXT = {"type": "string"}


async def collected(tmp_path: Path, value: Any) -> tuple[dict[str, CollectedTool], list[ToolNote]]:
    """The tools of a file by name, and what was left out or changed."""
    file = tmp_path / "case.json"
    file.write_text(json.dumps(value))
    folder = RunFolder.create(tmp_path / "run", {})
    await collect(CollectToolsConfig(file, out=folder.path), folder)
    (server,) = read_servers(folder.path)
    return {t.document.name: t for t in server.tools}, list(folder.rows("notes", ToolNote))


def function(name: str, description: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties}
    return {"name": name, "description": description, "parameters": parameters}


async def test_flat_parameters_keep_their_arguments(tmp_path: Path) -> None:
    def flat(name: str, **parameters: str) -> dict[str, Any]:
        about = {k: {"description": k, "type": v, "default": ""} for k, v in parameters.items()}
        return {"name": name, "description": f"Tells {name} of a lake.", "parameters": about}

    tools, notes = await collected(
        tmp_path,
        [
            flat("get_depth", lake="str", unit="str, optional"),
            flat("get_level", lake="str", days="int"),
            flat("list_boats", lake="str", kinds="List[str], optional"),
        ],
    )
    shown = {name: tool.document.parameters for name, tool in tools.items()}
    assert shown["get_depth"]["required"] == ["lake"]
    assert shown["get_level"]["required"] == ["lake", "days"]
    assert shown["get_level"]["properties"]["days"]["type"] == "integer"
    assert shown["list_boats"]["properties"]["kinds"]["items"] == TEXT
    assert not notes and all(shown[name]["properties"] for name in shown)


async def test_plain_words_are_enough_and_empty_ones_are_not(tmp_path: Path) -> None:
    tools, notes = await collected(
        tmp_path,
        [
            function("createShelf", "Create a Shelf\n\nCreate a new shelf.", floor=TEXT),
            function("removeShelf", "Remove a Shelf\n\nRemove an existing shelf.", id=TEXT),
            function("dropReader", "Drops a reader", readerId={"type": "integer"}),
            function("get_reader", "reader", id=TEXT),
            function("list_y", "TODO", id=TEXT),
            function("bar", "Some words that say nothing about it at all.", id=TEXT),
        ],
    )
    assert set(tools) == {"createShelf", "removeShelf", "dropReader"}
    assert {n.tool: n.check for n in notes if not n.kept} == dict.fromkeys(
        ("get_reader", "list_y", "bar"), "description"
    )


async def test_patterns_that_backtrack_cost_nothing(tmp_path: Path) -> None:
    def lookup(name: str, words: str, pattern: str, example: str) -> dict[str, Any]:
        made = function(name, words, code={**TEXT, "pattern": pattern})
        return made | {"examples": [{"code": example}]}

    started = time.process_time()
    tools, notes = await collected(
        tmp_path,
        [
            lookup("find_parcel", "Finds a parcel by its code.", "^(b|b)*$", "b" * 45 + "!"),
            lookup("track_parcel", "Tells where a parcel is.", "^(b+)+$", "b" * 45 + "!"),
            lookup("stop_parcel", "Stops a parcel on its way.", "^[a-z]$", "a"),
        ],
    )
    assert time.process_time() - started < 10
    assert tools["stop_parcel"].examples == ({"code": "a"},)
    assert not tools["find_parcel"].examples
    assert any(n.tool == "find_parcel" and n.kept and "example" in n.reason for n in notes)
    assert accepts(tools["stop_parcel"].document.parameters, {"code": "z"})


def api(paths: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    info = {"title": "Ports", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def reading(name: str, words: str, schema: Any = None, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    answer = {"description": "ok"} | ({"content": content} if schema else {})
    return {"get": {"operationId": name, "summary": words, "responses": {"200": answer}, **more}}


async def test_fields_in_a_wrapper_lead_to_the_next_call(tmp_path: Path) -> None:
    wrapper = {
        "type": "object",
        "properties": {"data": {"type": "array", "items": {"type": "object"}}, "links": {}},
    }
    port = {"type": "object", "properties": {"port_id": TEXT, "name": TEXT}}
    items = {"type": "array", "items": {"$ref": "#/components/schemas/Port"}}
    whole = {"allOf": [{"$ref": "#/components/schemas/Wrapper"}, {"properties": {"data": items}}]}
    needed = {"name": "port_id", "in": "path", "required": True, "schema": TEXT, "example": "p-7"}
    tools, _ = await collected(
        tmp_path,
        api(
            {
                "/ports": reading("get_ports", "List all ports that ferries call at.", whole),
                "/ports/{port_id}": reading("get_port", "Show one port.", parameters=[needed]),
                "/tides": reading("list_tides", "List the tides of the week."),
            },
            Wrapper=wrapper,
            Port=port,
        ),
    )
    output = tools["get_ports"].output_schema
    assert output is not None
    assert set(output["properties"]["data"]["items"]["properties"]) == {"port_id", "name"}
    assert tools["get_port"].examples == ({"port_id": "p-7"},)


async def test_a_large_result_costs_its_words_and_not_the_tool(tmp_path: Path) -> None:
    words = "A documented field of the record of a ship, with its unit."
    fields = {f"field_{n:04}": {**TEXT, "description": words} for n in range(1500)}
    ships = {"type": "array", "items": {"type": "object", "properties": fields}}
    tools, notes = await collected(
        tmp_path,
        api(
            {
                "/ships": reading("list_ships", "List the ships at sea, the newest first.", ships),
                "/crews": reading("list_crews", "List the crews of all ships."),
                "/cargo": reading("list_cargo", "List what ships have on board."),
            }
        ),
    )
    output = tools["list_ships"].output_schema
    assert output is not None and len(output["items"]["properties"]) == 1500
    assert [note.tool for note in notes] == ["list_ships"] and notes[0].kept
