"""Published folders: complete, the same bytes again, refused when changed, no answers in rows."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet, load_arenas
from astra.cli.main import run
from astra.errors import ConfigError, StoreError
from astra.exports.huggingface import parquet_file
from astra.exports.publish import ExportFormat, keywords_of, publish
from astra.exports.published import PublishedArenas, file_digest
from astra.exports.registry import FORMATS
from astra.types import Arena, Json, ToolSchema
from tests.exports.conftest import PLAIN
from tests.support.fakes import toy_arena, toy_tool
from tests.support.hidden_values import hidden_values, shown_text


def test_what_is_published_is_complete(arenas: ArenaSet, published: PublishedArenas) -> None:
    assert len(published) == len(arenas) == len(list(published.rows()))
    for arena in arenas:
        assert published[arena.id] == arena
    assert list(load_arenas(published.path / "arenas")) == list(arenas)
    assert published.manifest.reader == "plain" and not published.manifest.left_out
    with pytest.raises(StoreError, match="no arena 'nobody'"):
        published["nobody"]
    with pytest.raises(ConfigError, match="split 'dev'"):
        list(published.rows("dev"))


def test_the_same_arenas_give_the_same_bytes(
    arenas: ArenaSet, published: PublishedArenas, tmp_path: Path
) -> None:
    again = publish(arenas, tmp_path / "again", "plain", PLAIN).path
    first = {p.relative_to(published.path): p for p in published.path.rglob("*") if p.is_file()}
    second = {p.relative_to(again): p for p in again.rglob("*") if p.is_file()}
    assert first.keys() == second.keys()
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_rows_hold_no_answer(arenas: ArenaSet, published: PublishedArenas) -> None:
    assert sum(bool(hidden_values(arena)) for arena in arenas) > 3
    for row in published.rows():
        assert row.keys() == {"id", "split", "language", "messages", "tools"}
        text = json.dumps(row, ensure_ascii=False)
        assert not [value for value in hidden_values(arenas[row["id"]]) if value in text]


@pytest.mark.parametrize(
    "file",
    ["arenas/arenas.jsonl", "arenas/certificates.jsonl", "arenas/databases.jsonl",
     "rows/train.jsonl", "README.md"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["changed", "gone", "linked"])
def test_a_changed_file_is_refused(published: PublishedArenas, file: str, how: str) -> None:
    path = published.path / file
    content = path.read_bytes()
    path.unlink()
    if how == "changed":
        path.write_bytes(content.replace(b"e", b"E", 1))
    elif how == "linked":
        (path.parent / "elsewhere").write_bytes(content)
        path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(StoreError, match="is missing" if how == "gone" else "was changed"):
        PublishedArenas(published.path)


def test_what_was_put_beside_is_refused(published: PublishedArenas) -> None:
    planted = published.path / "re.py"
    planted.write_text("")
    with pytest.raises(StoreError, match=r"re\.py' was not exported"):
        PublishedArenas(published.path)
    planted.unlink()
    (published.path / "arenas").rename(published.path.parent / "elsewhere")
    (published.path / "arenas").symlink_to(published.path.parent / "elsewhere")
    with pytest.raises(StoreError, match="was changed"):
        PublishedArenas(published.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=2), "not the manifest"),
        (lambda m: m["files"].pop("arenas/arenas.jsonl"), "lists no"),
        (lambda m: m["files"].update({"../x": "0" * 64}), "was changed"),
    ],
)
def test_a_changed_manifest_is_refused(
    published: PublishedArenas, change: Any, message: str
) -> None:
    path = published.path / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=message):
        PublishedArenas(published.path)
    path.unlink()
    with pytest.raises(StoreError, match="no published arenas"):
        PublishedArenas(published.path)


def test_an_arena_whose_hashes_were_made_to_fit_is_still_refused(
    published: PublishedArenas,
) -> None:
    """Ids are hashes of contents, and certificates name ids."""
    path = published.path / "arenas/arenas.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    rows[0]["question"] += " Please."
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = json.loads((published.path / "manifest.json").read_text())
    manifest["files"]["arenas/arenas.jsonl"] = file_digest(path)
    (published.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="changed by hand"):
        PublishedArenas(published.path)[rows[0]["id"]]


def test_what_a_reader_cannot_play_is_left_out_and_told(arenas: ArenaSet, tmp_path: Path) -> None:
    reader = ExportFormat(
        title="one",
        files=lambda _: {"README.md": b""},
        refuses=lambda arena: "it has a state" if arena.state is not None else "",
        loses=frozenset({"enum", "minItems"}),
    )
    written = publish(arenas, tmp_path / "one", "one", reader)
    assert written.arenas == len(arenas) - 3
    assert [(each.reason, each.count) for each in written.left_out] == [("it has a state", 3)]
    assert PublishedArenas(written.path).manifest.left_out == written.left_out
    stateful = arenas.filter(lambda arena: arena.state is not None)
    with pytest.raises(ConfigError, match="none of these arenas \\(3: it has a state"):
        publish(stateful, tmp_path / "none", "one", reader)
    assert not (tmp_path / "none").exists()


def test_keywords_that_inspect_drops_are_listed(tmp_path: Path) -> None:
    parameters = {
        "type": "object",
        "properties": {"keys": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    }
    document = ToolSchema(name="look_many", description="Looks.", parameters=parameters)
    tool = toy_tool("look_many").model_copy(update={"document": document})
    arena = toy_arena(1, tools=(toy_tool("look_0"), tool))
    written = publish(ArenaSet.of([arena]), tmp_path / "out", "inspect", FORMATS["inspect"])
    assert written.lost_keywords == {"minItems": 1}


def test_keywords_of_a_schema_are_not_names_of_properties() -> None:
    schema: Json = {
        "type": "object",
        "properties": {"minItems": {"type": "array", "items": {"minimum": 1, "enum": [{"x": 1}]}}},
        "required": ["minItems"],
        "anyOf": [{"const": {"pattern": 1}}],
    }
    expected = {"type", "properties", "items", "minimum", "enum", "required", "anyOf", "const"}
    assert set(keywords_of(schema)) == expected


def test_only_a_published_folder_is_replaced(arenas: ArenaSet, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a folder of published arenas"):
        publish(arenas, own, "plain", PLAIN)
    assert (own / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("name", FORMATS)
def test_the_command_writes_every_format(
    arenas: ArenaSet, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["arenas", "export", str(arenas.path), "--format", name, "--out", str(out)]
    assert run([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    published = PublishedArenas(out)
    assert told["arenas"] == len(published) == published.manifest.arenas
    assert told["arenas"] + sum(told["left_out"].values()) == len(arenas)
    readme = (out / "README.md").read_text("utf-8")
    assert "$" not in readme and "pip install" in readme
    assert run(command) == 2 and "exists" in capsys.readouterr().err
    assert run([*command, "--if-exists", "overwrite", "--split", "train"]) == 0
    assert PublishedArenas(out).splits == ("train",)


def test_datasets_reads_the_folder_for_the_hub_unchanged(arenas: ArenaSet, tmp_path: Path) -> None:
    import datasets  # late: it takes seconds

    both = [a.model_copy(update={"split": ("train", "test")[i % 2]}) for i, a in enumerate(arenas)]
    published = PublishedArenas(
        publish(ArenaSet.of(both), tmp_path / "hub", "hf", FORMATS["hf"], uncertified=True).path
    )
    dataset = datasets.load_dataset(str(published.path), cache_dir=str(tmp_path / "cache"))
    assert set(dataset) == set(published.splits) == {"train", "test"}
    for split in published.splits:
        expected = list(published.rows(split))
        rows = [{**row, "tools": json.loads(row["tools"])} for row in dataset[split]]
        assert rows == expected and {row["split"] for row in rows} == {split}
    shown = json.dumps([dict(row) for split in dataset.values() for row in split])
    hidden = {value for arena in arenas for value in hidden_values(arena)}
    questions = "".join(map(shown_text, arenas))
    assert not [value for value in hidden if value in shown and value not in questions]


def test_rows_beyond_one_group_are_all_in_the_parquet_file() -> None:
    from pyarrow import parquet  # late, as in the export

    rows = [{"id": str(number), "messages": [{"role": "user"}]} for number in range(2500)]
    table = parquet.read_table(BytesIO(b"".join(parquet_file(iter(rows)))))
    assert table.to_pylist() == rows


def test_arenas_are_held_one_at_a_time(arenas: ArenaSet, tmp_path: Path) -> None:
    """An export of many arenas must not need the memory of all of them."""
    alive: list[weakref.ref[Arena]] = []
    most = 0

    def watch(arena: Arena) -> str:
        nonlocal most
        alive.append(weakref.ref(arena))
        gc.collect()
        most = max(most, sum(each() is not None for each in alive))
        return ""

    class Copies(ArenaSet):
        """Without the few arenas that a set keeps."""

        def __iter__(self) -> Iterator[Arena]:
            return (arena.model_copy() for arena in super().__iter__())

    reader = ExportFormat(title="one", files=lambda _: {"README.md": b""}, refuses=watch)
    publish(Copies(arenas.path), tmp_path / "out", "one", reader)
    assert len(alive) == len(arenas) == 5 and most <= 2


# --- back again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openenv", "verifiers"])
def test_a_published_folder_is_imported_and_certified_anew(
    arenas: ArenaSet, name: str, tmp_path: Path
) -> None:
    """The certificates of these arenas are made up: what the import says of them is its own."""
    one = arenas.filter(lambda arena: arena.state is None)
    published = publish(one, tmp_path / "out", name, FORMATS[name]).path
    words = ["arenas", "import", str(published), "--format", "published"]
    back = tmp_path / "back"
    assert run([*words, "--out", str(back)]) == 0
    imported = ArenaSet(back)
    assert {arena.id for arena in imported} == set(one.ids)
    assert all(imported.certificate(arena) != one.certificate(arena) for arena in imported)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("openenv.yaml", "an environment of OpenEnv that `arenas export` did not write"),
        ("pyproject.toml", "tasksets of verifiers"),
        ("thesis.txt", "holds no published arenas"),
    ],
)
def test_folders_of_others_are_refused_with_the_reason(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / name).write_text("")
    words = ["arenas", "import", str(tmp_path / "theirs"), "--format", "published"]
    assert run([*words, "--out", str(tmp_path / "back")]) == 2
    assert told in " ".join(capsys.readouterr().err.split()) and not (tmp_path / "back").exists()


# --- what playing needs --------------------------------------------------------------------------

_BASE_ONLY = """
import sys

class OnlyTheBase:
    allowed = {"astra", "pydantic", "pydantic_core", "annotated_types", "typing_extensions",
        "typing_inspection", "jsonschema", "jsonschema_specifications", "referencing", "rpds",
        "attr", "attrs", "re2"}
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        known = top in self.allowed or top in sys.stdlib_module_names
        if not known and not top.startswith(("_re2", "_sysconfigdata")):
            raise ModuleNotFoundError(f"{name} is kept away", name=name)

sys.meta_path.insert(0, OnlyTheBase())
from astra.exports.published import PublishedArenas
from astra.rollouts.session import ArenaSession

for row in (published := PublishedArenas(sys.argv[1])).rows():
    arena = published[row["id"]]
    with ArenaSession(arena) as session:
        for goal in arena.goals:
            if goal.call is not None:
                session.call(goal.call.tool, goal.call.arguments)
        session.say("That is all.")
        print(session.score().reward)
import astra
try:
    astra.make_arenas(tables=[])
except astra.ConfigError as error:
    print(error, file=sys.stderr)
"""


def test_playing_needs_the_base_alone(published: PublishedArenas) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BASE_ONLY, str(published.path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rewards = [float(line) for line in done.stdout.split()]
    assert len(rewards) == len(published) and max(rewards) == 1
    assert "astra-arenas[make]" in done.stderr


def test_a_copy_in_another_place_plays(published: PublishedArenas, tmp_path: Path) -> None:
    shutil.move(published.path, tmp_path / "moved")
    assert len(PublishedArenas(tmp_path / "moved")) == len(published)
