"""Arenas are kept by how often a model solves them, and the others are told."""

from __future__ import annotations

import functools
import json
from collections import Counter
from pathlib import Path

import pytest

from astra.aio import make_arenas
from astra.arenas.sets import ArenaSet
from astra.arenas.statistics import arena_statistics
from astra.cli.main import run
from astra.configs.arenas import MakeArenasConfig
from astra.configs.evaluation import SelectArenasConfig
from astra.errors import ConfigError
from astra.evaluation.evaluate import EvaluationReport
from astra.evaluation.select import select_arenas, set_aside
from astra.models.policies import gold_levels
from astra.models.scripted import calling
from astra.types import Arena, Message
from tests.support.arenas import good_arenas, write_arena_run
from tests.support.model_server import ModelServer
from tests.tables.made import WORLD


class Sometimes:
    """Solves each arena in as many of four episodes as its place in the folder says."""

    name = "sometimes"

    def __init__(self, arenas: dict[str, Arena], wins: dict[str, int]) -> None:
        self.arenas, self.wins = arenas, wins
        self.played: Counter[str] = Counter()

    async def generate(self, messages, tools, sampling) -> Message:  # type: ignore[no-untyped-def]
        question = messages[1].content
        turn = sum(message.role == "assistant" for message in messages)
        levels = gold_levels(self.arenas[question])
        if turn == 0:
            self.played[question] += 1
        # Which episodes win does not matter: all of one arena are told by their first message.
        if turn == 0 and self.played[question] > self.wins[question]:
            return Message(role="assistant", content="I do not know.")
        return (
            calling(*levels[turn]) if turn < len(levels) else Message(role="assistant", content=".")
        )


def folder(path: Path) -> tuple[ArenaSet, Sometimes, list[str]]:
    # No two with one question: the model knows an arena by it.
    arenas = list({arena.question: arena for arena in good_arenas().values()}.values())[:4]
    write_arena_run(path, arenas)
    by_question = {arena.question: arena for arena in arenas}
    wins = dict(zip(by_question, (0, 1, 3, 4), strict=True))
    return ArenaSet(path), Sometimes(by_question, wins), [arena.id for arena in arenas]


async def test_what_is_solved_sometimes_is_kept_and_the_rest_told(tmp_path: Path) -> None:
    arenas, model, ids = folder(tmp_path / "all")
    config = SelectArenasConfig(arenas, model=model, out=tmp_path / "kept", concurrency=1)
    kept = await select_arenas(config)
    assert kept.ids == ids[1:3]
    assert list(ArenaSet(tmp_path / "kept")) == [arenas[name] for name in ids[1:3]]
    assert arena_statistics(tmp_path / "kept")["stages"]["arenas"]["rejected"] == {
        "too_hard": 1,
        "too_easy": 1,
    }
    rows = (tmp_path / "kept" / "arenas.failed.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(row)["key"] for row in rows} == {ids[0], ids[3]}
    # Nothing is played twice: a second run reads what there is.
    before = model.played.total()
    assert (await select_arenas(config)).ids == ids[1:3]
    assert model.played.total() == before == 4 * 4
    assert EvaluationReport.open(tmp_path / "kept" / "played").summary.episodes == 4 * 4


class ForWhatIsDrawn(Sometimes):
    """Knows the arenas of a folder from the first message on: then all of them are made."""

    def __init__(self, drawn: Path) -> None:
        super().__init__({}, {})
        self.drawn = drawn

    async def generate(self, messages, tools, sampling) -> Message:  # type: ignore[no-untyped-def]
        if not self.arenas:
            self.arenas = {arena.question: arena for arena in ArenaSet(self.drawn)}
            self.wins = dict(zip(self.arenas, (0, 1, 3, 4), strict=True))
        return await super().generate(messages, tools, sampling)


async def test_arenas_are_made_for_a_model(tmp_path: Path) -> None:
    model = ForWhatIsDrawn(tmp_path / "drawn")
    options = {"count": 4, "max_hops": 2, "distractors": "none", "concurrency": 1}
    tables = [str(WORLD / name) for name in ("lakes.csv", "mountains.csv")]
    made = functools.partial(make_arenas, tables, out=tmp_path, target=model, **options)
    kept = await made()
    drawn = ArenaSet(tmp_path / "drawn")
    assert list(kept) == list(drawn)[1:3]
    assert [kept.certificate(name) for name in kept.ids] == [
        drawn.certificate(name) for name in kept.ids
    ]
    assert set_aside(kept) == {"too_hard": 1, "too_easy": 1}
    # Nothing is made or played twice.
    assert (await made()).ids == kept.ids
    assert model.played.total() == 4 * 4
    with pytest.raises(ConfigError, match="exists"):
        await made(if_exists="fail")
    with pytest.raises(ConfigError, match=r"other options.*count"):
        await made(count=5)
    with pytest.raises(ConfigError, match=r"other options.*pass_rate"):
        await made(pass_rate="0:1")


def test_the_command_tells_how_many_were_made_and_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lakes = str(WORLD / "lakes.csv")
    with ModelServer(lambda index, body: Message(role="assistant", content="No idea.")) as server:
        words = [
            "arenas",
            "make",
            lakes,
            "--count",
            "2",
            "--max-hops",
            "1",
            "--distractors",
            "none",
        ]
        words += ["--target", "someone", "--target-url", server.url, "--target-samples", "1"]
        assert run([*words, "--out", str(tmp_path / "run")]) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "2 certified arenas in" in said
        assert "0 arenas kept in" in said
        assert "set aside: 2 too hard" in said
        assert run([*words, "--out", str(tmp_path / "run"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["set_aside"] == {"too_hard": 2}
    assert (report["arenas"], report["drawn"]["arenas"]) == (0, 2)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("target_url", "http://localhost:1/v1"), ("target_samples", 2), ("pass_rate", "0:1")],
)
def test_what_concerns_a_target_needs_one(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*without target"):
        MakeArenasConfig("tables", **{name: value})  # type: ignore[arg-type]
    MakeArenasConfig("tables", target="model", **{name: value})  # type: ignore[arg-type]


async def test_a_key_that_is_missing_is_noticed_before_arenas_are_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        await make_arenas(
            str(WORLD),
            out=tmp_path / "run",
            target="model",
            target_url="http://localhost:1/v1",
            target_key_env="NO_SUCH_KEY",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["0.5", "0.8:0.2"])
def test_other_ranges_are_refused_for_a_target(text: str) -> None:
    with pytest.raises(ConfigError, match=r"pass_rate.*two numbers from 0 to 1"):
        MakeArenasConfig("tables", target="model", pass_rate=text)


async def test_the_range_decides(tmp_path: Path) -> None:
    for text, expected in (("0:0", [0]), ("1:1", [3]), ("0.25:1", [1, 2, 3]), ("0.3:0.7", [])):
        arenas, model, ids = folder(tmp_path / "all" / text)
        config = SelectArenasConfig(arenas, model=model, pass_rate=text, concurrency=1)
        assert (await select_arenas(config)).ids == [ids[place] for place in expected]


@pytest.mark.parametrize("text", ["", "0.5", "0.8:0.2", "-1:1", "0:2", "a:b", "nan:1"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"pass_rate.*two numbers from 0 to 1"):
        SelectArenasConfig("runs", policy="gold", pass_rate=text)
