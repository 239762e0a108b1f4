"""OpenAPI documents: two whole ones, their collisions and cycles, and hostile ones."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import Draft202012Validator

from astra.core.openapi.expansion import merged
from astra.core.yaml_text import parse_yaml
from astra.errors import ConfigError, Rejected
from astra.trajectories.collect.drafts import BrokenTool, RawServer
from astra.trajectories.collect.normalize import NormalizedServer, normalize_server
from astra.trajectories.collect.openapi import openapi_server
from astra.trajectories.collect.schemas import accepts
from astra.trajectories.collect.sources import drafts
from astra.trajectories.records import CollectedTool

DATA = Path(__file__).parent / "data"


def converted(file: str) -> NormalizedServer:
    (draft,) = drafts(DATA / file)
    assert isinstance(draft.content, RawServer), draft.content
    return normalize_server(draft.content)


def tool(file: str, name: str) -> CollectedTool:
    for one in converted(file).server.tools:
        if one.document.name == name:
            return one
    raise AssertionError(name)


def properties(one: CollectedTool) -> dict[str, Any]:
    return one.document.parameters["properties"]


def test_every_operation_converts_and_accepts_its_examples() -> None:
    tools = [t for file in ("warehouse.yaml", "clinic.json") for t in converted(file).server.tools]
    assert len(tools) == 45
    for one in tools:
        schema = one.document.parameters
        Draft202012Validator.check_schema(schema)
        assert "$ref" not in json.dumps([schema, one.output_schema])
        assert all(accepts(schema, example) for example in one.examples)
        if schema.get("required"):
            assert one.examples, one.document.name
            needed = schema["required"][0]
            broken = {k: v for k, v in one.examples[0].items() if k != needed}
            assert not accepts(schema, broken)
        if one.output_schema is not None:
            Draft202012Validator.check_schema(one.output_schema)


def test_parameters_and_body_are_merged() -> None:
    one = tool("warehouse.yaml", "createItem")
    assert list(properties(one)) == ["page", "X-Request-Id", "name", "category", "price", "sku"]
    assert one.document.parameters["required"] == ["name", "category"]
    assert properties(one)["category"]["enum"] == ["tools", "paint", "wood"]
    assert properties(one)["category"]["description"] == "What it is sold as."
    assert one.read_only is False


def test_names_that_collide_are_told_apart() -> None:
    replaced = tool("warehouse.yaml", "replaceItem")
    assert {"sku", "body_sku"} <= set(properties(replaced))
    assert replaced.document.parameters["required"] == ["sku", "name", "category"]
    whole = {"sku": "100-7", "body_sku": "100-8", "name": "Hammer", "category": "tools"}
    assert replaced.examples[0] == {**whole, "price": 9.5}
    moved = tool("clinic.json", "appointments_move")
    assert properties(moved)["id"]["type"] == "integer"
    assert properties(moved)["body_id"]["type"] == "string"
    assert moved.original_name == "appointments.move"


def test_keys_are_no_arguments() -> None:
    one = tool("warehouse.yaml", "listOrders")
    assert list(properties(one)) == ["state", "since"]
    said = [note.reason for note in converted("warehouse.yaml").notes]
    assert "the header 'X-Api-Key' is left out: it carries a key" in said


def test_all_of_is_merged_and_directions_are_kept_apart() -> None:
    item = tool("warehouse.yaml", "getItem").output_schema
    assert item is not None and item["required"] == ["name", "category", "quantity"]
    assert "created" in item["properties"] and "secret" not in item["properties"]
    order = tool("warehouse.yaml", "getOrder").output_schema
    assert order is not None
    assert order["properties"]["supplier"] == {"type": "integer", "minimum": 1}
    invoice = tool("clinic.json", "invoices_create")
    assert invoice.document.parameters["required"] == ["amount", "currency", "patient"]
    paid = {"currency": "EUR", "patient": "p"}
    assert accepts(invoice.document.parameters, {**paid, "amount": 5})
    assert not accepts(invoice.document.parameters, {**paid, "amount": -1})
    assert not accepts(invoice.document.parameters, {**paid, "amount": 10_001})


def test_a_body_that_is_no_plain_object_stays_whole() -> None:
    shipment = tool("warehouse.yaml", "createShipment")
    assert list(properties(shipment)) == ["body"]
    assert [e["body"]["kind"] for e in shipment.examples] == ["parcel", "pallet"]
    assert not accepts(shipment.document.parameters, {"body": {"kind": "parcel", "boxes": 3}})
    assert properties(tool("warehouse.yaml", "replaceLines"))["body"]["type"] == "array"


def test_cycles_are_cut_with_a_reason() -> None:
    made = converted("clinic.json")
    wards = tool("clinic.json", "wards_tree").output_schema
    assert wards is not None
    inner = wards["properties"]["parts"]["items"]
    assert inner == {
        "type": "object",
        "description": "Again of the kind Ward; not described further.",
    }
    said = {(note.tool, note.reason) for note in made.notes if note.kept}
    assert ("wards.tree", "'Ward' occurs inside itself: cut where it recurs") in said


def test_words_of_openapi_3_0() -> None:
    one = tool("clinic.json", "patients_create")
    assert properties(one)["phone"]["type"] == ["string", "null"]
    dose = properties(tool("clinic.json", "prescriptions_create"))["dose"]
    assert dose["properties"]["amount"] == {"type": "number", "exclusiveMinimum": 0}


# --- hostile ----------------------------------------------------------------------------------


def document(schema: Any, **more: Any) -> dict[str, Any]:
    body = {"content": {"application/json": {"schema": schema}}}
    operation = {"operationId": "op", "summary": "Does one thing.", "requestBody": body}
    return {"openapi": "3.0.0", "paths": {"/a": {"post": operation}}, **more}


def rejected(value: Mapping[str, Any]) -> Rejected:
    (one,) = openapi_server(value, "x").tools
    assert isinstance(one, BrokenTool), one
    return one.rejected


def test_a_remote_reference_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket.socket, "connect", connect)
    for reference in ("http://127.0.0.1:9/a.json", "other.yaml#/A", "file:///etc/passwd"):
        found = rejected(document({"$ref": reference}))
        assert found.check == "ref" and "nothing is fetched" in found.reason


def test_references_without_end() -> None:
    loop = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    (one,) = openapi_server(
        document({"$ref": "#/components/schemas/A"}, components={"schemas": loop}), "x"
    ).tools
    assert not isinstance(one, BrokenTool) and any(
        "occurs inside itself" in note for note in one.notes
    )
    item = {"paths": {"/a": {"$ref": "#/paths/~1a"}}, "openapi": "3.1.0"}
    assert rejected(item).check == "cycle"
    assert "nowhere" in rejected(document({"$ref": "#/components/none"})).reason


def test_references_that_double_at_every_step() -> None:
    schemas: dict[str, Any] = {"S0": {"type": "string"}}
    for i in range(1, 40):
        one = {"$ref": f"#/components/schemas/S{i - 1}"}
        schemas[f"S{i}"] = {"type": "object", "properties": {"a": one, "b": one}}
    bomb = document({"$ref": "#/components/schemas/S39"}, components={"schemas": schemas})
    assert rejected(bomb).check == "size"


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("a: &a [x,x,x,x,x,x,x,x,x]\n", ""),
        ("[" * 300, "size"),
        ("a: &a [*a]", "layout"),
        ("a: !!python/object/apply:os.system ['true']", "layout"),
        ("a: .nan", "layout"),
        ("a: [", "layout"),
    ],
)
def test_odd_yaml(text: str, check: str) -> None:
    if not check:
        assert parse_yaml(text) == {"a": ["x"] * 9}
        return
    with pytest.raises(Rejected) as raised:
        parse_yaml(text)
    assert raised.value.check in (check, "cycle")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[NO, yes, on, Off, y, n]", ["NO", "yes", "on", "Off", "y", "n"]),
        ("[true, False, null, ~, NULL]", [True, False, None, None, None]),
        ("a:", {"a": None}),
        ("[12:30, 12:30:45, 190:20:30]", ["12:30", "12:30:45", "190:20:30"]),
        ("[2026-05-09, 2026-05-09 10:00:00]", ["2026-05-09", "2026-05-09 10:00:00"]),
        ("[007, 0777, 0o17, 1_000, +49]", ["007", "0777", "0o17", "1_000", 49]),
        ("[0, -3, 0x1F, 1.50, 1e3, .5, -1.5E-2]", [0, -3, 31, 1.5, 1000.0, 0.5, -0.015]),
        ("{on: 1, 200: 2, 1.5: 3, true: 4}", {"on": 1, "200": 2, "1.5": 3, "true": 4}),
        ("{a: &x {b: 1}, c: {<<: *x, d: 2}}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
    ],
)
def test_plain_words_of_yaml_1_2(text: str, value: Any) -> None:
    read = parse_yaml(text)
    assert read == value and json.dumps(read) == json.dumps(value)


@pytest.mark.parametrize("merge", [False, True])
def test_a_yaml_bomb(merge: bool) -> None:
    lines = ["a0: &a0 {k: v}" if merge else "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        parts = ", ".join([f"*a{i - 1}"] * 9)
        lines.append(f"a{i}: &a{i} {{<<: [{parts}]}}" if merge else f"a{i}: &a{i} [{parts}]")
    with pytest.raises(Rejected, match="stand for over") as raised:
        parse_yaml("\n".join(lines))
    assert raised.value.check == "size"


def test_other_versions_and_empty_documents(tmp_path: Path) -> None:
    for value, check in (
        ({"swagger": "2.0", "paths": {}}, "layout"),
        ({"swagger": "1.2", "paths": {}}, "version"),
        ({"openapi": "3.0.0", "paths": {}}, "layout"),
        ({"openapi": "3.0.0", "paths": ["x"]}, "layout"),
        ({"openapi": "3.0.0", "paths": {"/a": {"get": {"parameters": "x", "tags": 3}}}}, ""),
        ({"openapi": "3.0.0", "paths": {"/a": {"get": {"parameters": [3]}}}}, ""),
    ):
        file = tmp_path / "a.json"
        file.write_text(json.dumps(value))
        (draft,) = drafts(file)
        if check:
            assert isinstance(draft.content, Rejected) and draft.content.check == check
        else:
            assert isinstance(draft.content, RawServer)
    (tmp_path / "b.yaml").write_text("just text")
    with pytest.raises(ConfigError, match="no known kind"):
        list(drafts(tmp_path / "b.yaml"))


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        # A wrapper whose list is described by a later part.
        (
            [
                {
                    "type": "object",
                    "properties": {"data": {"type": "array", "items": {"type": "object"}}},
                },
                {"properties": {"data": {"type": "array", "items": {"properties": {"id": {}}}}}},
            ],
            {
                "type": "object",
                "properties": {
                    "data": {"type": "array", "items": {"type": "object", "properties": {"id": {}}}}
                },
            },
        ),
        ([{"type": "string"}, {"format": "uuid"}], {"type": "string", "format": "uuid"}),
        (
            [
                {"properties": {"a": {}}, "required": ["a"]},
                {"required": ["b"], "properties": {"b": {}}},
            ],
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
        ),
        (
            [{"properties": {"a": {}}, "additionalProperties": False}, {"properties": {"b": {}}}],
            {"type": "object", "properties": {"a": {}, "b": {}}, "additionalProperties": False},
        ),
        (
            [{"type": "string", "nullable": True}, {"maxLength": 3}],
            {"type": "string", "maxLength": 3},
        ),
    ],
)
def test_parts_of_all_of_are_joined(parts: list[Any], whole: dict[str, Any]) -> None:
    assert merged({"allOf": parts}) == whole


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "string"}, {"type": "integer"}],
        [{"enum": [1, 2]}, {"enum": [2, 3]}],
        [{"anyOf": [{}]}, {"anyOf": [{"type": "string"}]}],
        [{"type": ["string", "null"]}, {"type": "string"}],
    ],
)
def test_parts_that_can_not_be_one_schema_stay(parts: list[Any]) -> None:
    assert merged({"allOf": parts}) == {"allOf": parts}
