"""Kinds of OpenAPI documents: which are kept by default, and how many of their operations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astra.configs.tools import CollectToolsConfig
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.trajectories.collect.drafts import ToolNote
from astra.trajectories.collect.schemas import accepts
from astra.trajectories.collect.stages import COLLECTED, collect, read_servers
from astra.trajectories.records import CollectedTool
from tests.collect import openapi_kinds
from tests.collect.openapi_kinds import KINDS, DocumentKind


async def collected(
    tmp_path: Path, kind: DocumentKind
) -> tuple[dict[str, CollectedTool], list[FailureRow], dict[str, str]]:
    """Tools, failures, and the checks of the operations that were left out, by name."""
    is_yaml = isinstance(kind.content, str)
    file = tmp_path / ("document.yaml" if is_yaml else "document.json")
    file.write_text(kind.content if isinstance(kind.content, str) else json.dumps(kind.content))
    folder = RunFolder.create(tmp_path / "run", {})
    await collect(CollectToolsConfig(file, out=folder.path), folder)
    tools = {t.document.name: t for server in read_servers(folder.path) for t in server.tools}
    left_out = {note.tool: note.check for note in folder.rows("notes", ToolNote) if not note.kept}
    return tools, list(folder.rows(f"{COLLECTED}.failed", FailureRow)), left_out


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
async def test_a_kind_of_document(tmp_path: Path, make: openapi_kinds.KindMaker) -> None:
    kind = make()
    tools, failed, left_out = await collected(tmp_path, kind)
    if not kind.small:
        assert [failure.check for failure in failed] == ["layout"]
        return
    assert not failed
    assert set(left_out) == set(kind.refused)
    # The kinds were written to be kept whole: a share would hide what a change breaks.
    assert set(tools) == set(kind.small)
    shown = json.dumps([tool.model_dump(mode="json") for tool in tools.values()])
    assert "$ref" not in shown


def test_there_are_kinds_enough() -> None:
    kept = [make for make in KINDS if make().small]
    assert len(KINDS) >= 12 and len(kept) / len(KINDS) >= 10 / 12
    assert len(openapi_kinds.many().small) == 500


@pytest.mark.slow
async def test_40_mb_of_references_written_out(tmp_path: Path) -> None:
    kind = openapi_kinds.written_out(40)
    assert len(json.dumps(kind.content)) > 40 * 10**6
    tools, failed, _ = await collected(tmp_path, kind)
    assert not failed and set(tools) == set(kind.small)


# --- what arguments come out ----------------------------------------------------------------------


async def test_arguments_of_forms_paths_and_headers(tmp_path: Path) -> None:
    for make in (openapi_kinds.form_bodies, openapi_kinds.path_level):
        (tmp_path / make.__name__).mkdir()
    forms, _, left_out = await collected(tmp_path / "form_bodies", openapi_kinds.form_bodies())
    shown = {name: tool.document.parameters for name, tool in forms.items()}
    assert shown["requestBook"]["required"] == ["title"]
    assert set(shown["addScan"]["properties"]) == {"scan", "note"}
    assert shown["addNote"] == {
        "type": "object",
        "properties": {"body": {"type": "string"}},
        "required": ["body"],
    }
    assert left_out == {"addCover": "body"}
    desks, _, _ = await collected(tmp_path / "path_level", openapi_kinds.path_level())
    get, put = desks["getDesk"].document.parameters, desks["bookDesk"].document.parameters
    assert list(get["properties"]) == ["branch", "desk", "query_desk"]
    assert get["required"] == ["branch", "desk"]
    assert get["properties"]["desk"]["description"] == "Which desk."
    assert put["properties"]["desk"] == {"type": "integer"}


async def test_keys_in_headers_and_cookies_are_no_arguments(tmp_path: Path) -> None:
    tools, _, _ = await collected(tmp_path, openapi_kinds.headers_and_cookies())
    parameters = tools["listHolds"].document.parameters
    assert set(parameters["properties"]) == {"Accept-Language", "X-Request-Id", "If-Match"}
    assert parameters["required"] == ["If-Match"]
    assert tools["addHold"].document.parameters["properties"] == {}


async def test_choices_types_and_cycles_stay_checkable(tmp_path: Path) -> None:
    for make in (openapi_kinds.one_of, openapi_kinds.version_3_1, openapi_kinds.cyclic):
        (tmp_path / make.__name__).mkdir()
    tools, _, _ = await collected(tmp_path / "one_of", openapi_kinds.one_of())
    pay = tools["payFee"].document.parameters
    assert accepts(pay, {"body": {"kind": "card", "number": "1"}})
    assert not accepts(pay, {"body": {"kind": "card", "number": 1}})
    assert not accepts(pay, {"body": {"kind": "cheque"}})
    tools, _, _ = await collected(tmp_path / "version_3_1", openapi_kinds.version_3_1())
    find = tools["findReaders"].document.parameters
    assert accepts(find, {"name": None}) and not accepts(find, {"name": 3})
    tools, _, _ = await collected(tmp_path / "cyclic", openapi_kinds.cyclic())
    add = tools["addFolder"].document.parameters
    assert accepts(add, {"name": "a", "children": [{"name": "b"}]})
    assert not accepts(add, {"children": []})


async def test_yaml_means_what_people_mean(tmp_path: Path) -> None:
    tools, _, _ = await collected(tmp_path, openapi_kinds.yaml())
    loans = tools["listLoans"]
    properties = loans.document.parameters["properties"]
    assert list(properties) == ["page", "day", "country"]
    assert properties["country"]["enum"] == ["NO", "SE", "DK"]
    assert properties["day"]["examples"] == ["2026-05-09"]
    assert loans.output_schema == {"type": "array", "items": {"type": "object"}}
    assert tools["getLoan"].document.description == "Shows one loan, with its dates."


async def test_an_operation_without_words_is_told_by_method_and_path(tmp_path: Path) -> None:
    tools, _, _ = await collected(tmp_path, openapi_kinds.bare())
    assert tools["deleteMember"].document.description == "DELETE /api/members/{memberId}"
