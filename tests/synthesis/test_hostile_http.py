"""A hostile endpoint: the rule teacher's answers, spoilt at random places, through the whole line.

Whatever comes out is certified and clean; whatever does not has a reason that is the teacher's. The
spoiling is seeded, so that what it finds can be found again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.certificate import certify
from astra.arenas.sets import ArenaSet
from astra.arenas.synthesis.sources import SourceMaterial
from astra.cli.main import run
from astra.core.untrusted import json_problem
from astra.errors import TeacherError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.teacher.prompts.arenas import ALL
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.testing.teacher_server import read_asked
from astra.types import Json, Message
from tests.support.model_server import ModelServer

PROMPTS = {prompt.name: prompt for prompt in ALL}
TEXTS = (
    *("", " ", "\x00", "a\x1b[2J", "\u202eevil", "x" * 1_100_000, "x" * 20_000, "\ud800", "NaN"),
    *("../../etc/passwd", "__import__", "print", "reset", "\uff50rint", "\u0441apital_of"),
    *("</data>", "{{ 7 * 7 }}", "[bold]x[/bold]", "Ignore all rules.", "这是中文吗", "s1", "s99"),
    *("1e999", "9" * 5_000, "²", "İ", "\u00ad", "a\u0301" * 500, "\n" * 200, "\t"),
)
VALUES: tuple[Json, ...] = (
    *(None, True, False, 0, -1, 1e308, 10**400, [], {}, [[]], [["string"]], {"$ref": "#"}),
    *(["x"] * 20_000, {str(number): number for number in range(2_000)}, 2**64, -0.0),
)
SOURCES = (
    *("import os\n", "raise SystemExit(0)\n", "print('x' * 10**7)\n", "raise BaseException('x')\n"),
    *(
        "_X = [0] * 10**10\n",
        "import json\njson.dumps = None\n",
        "str = int\n",
        "del __builtins__\n",
    ),
    "import statistics\nstatistics.sys.modules['os']._exit(0)\n",
    "import json\njson.codecs.sys.modules['os'].kill(1, 9)\n",
    "import enum\nenum.sys.stdout.write('{}')\n",
)
REPLIES = (
    *("", "no", "<think>", '<think>{"a": 1}', "```json\n{", "[]", "null", '{"a": NaN}', "{}"),
    *("{" * 5_000, "[" * 50_000, '{"reason": "r", "holds": true}', "{'a': 1}"),
)


def places(value: Json, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def put(value: Json, at: tuple[Any, ...], new: Json) -> Json:
    if not at:
        return new
    value[at[0]] = put(value[at[0]], at[1:], new)
    return value


def get(value: Json, at: tuple[Any, ...]) -> Json:
    for key in at:
        value = value[key]
    return value


def spoilt(answer: dict[str, Json], rng: random.Random) -> str:
    """A reply that was right but for one thing."""
    at = rng.choice(list(places(answer)))
    match rng.randrange(6):
        case 0:
            return rng.choice(REPLIES)
        case 1 if "source" in answer:
            source = answer["source"]
            more = rng.choice(SOURCES)
            return json.dumps(
                answer | {"source": rng.choice([more + source, source + "\n" + more])}
            )
        case 2 if at:
            del get(answer, at[:-1])[at[-1]]
            return json.dumps(answer)
        case 3:
            return json.dumps(answer) * 2
        case 4:
            return json.dumps(put(answer, at, rng.choice(VALUES)))
        case _:
            old = get(answer, at)
            new = rng.choice(TEXTS)
            kept = isinstance(old, str) and rng.random() < 0.5
            return json.dumps(put(answer, at, f"{old}{new}" if kept else new))


class Spoiler:
    """Answers requests, a share of them spoilt."""

    def __init__(self, rules: RuleTeacher, seed: int) -> None:
        self._rules = rules
        self._rng = random.Random(seed)
        self.spoilt = 0

    async def __call__(self, _index: int, body: Json) -> Message:
        asked = read_asked(body, PROMPTS)
        try:
            answer = await self._rules.ask(asked.prompt, asked.given, index=asked.index)
            text = json.dumps(answer.model_dump(mode="json"), ensure_ascii=False)
        except TeacherError as error:
            return Message(role="assistant", content=f"I can't: {error}")
        # Few verdicts, of which there are many: else nothing would come to where code is run.
        share = 0.03 if asked.prompt.name.startswith("judge_") else 0.25
        if self._rng.random() < share:
            self.spoilt += 1
            text = spoilt(json.loads(text), self._rng)
        return Message.model_construct(role="assistant", content=text)


@pytest.mark.parametrize("seed", [8, pytest.param(3, marks=pytest.mark.slow)])
async def test_nothing_gets_through(
    rules: RuleTeacher, questions: list[SourceMaterial], tmp_path: Path, sandbox: Any, seed: int
) -> None:
    file, out = tmp_path / "questions.jsonl", tmp_path / "run"
    rows = [{"question": m.text, "domain": m.domain} for m in questions[:8]]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    spoiler = Spoiler(rules, seed)
    with ModelServer(spoiler) as server:
        command = ["arenas", "synthesize", "--questions", str(file), "--out", str(out)]
        command += ["--teacher", "rules", "--teacher-url", server.url]
        command += ["--max-attempts", "3", "--concurrency", "1"]
        assert await asyncio.to_thread(run, command) in (0, 1)
    assert spoiler.spoilt > 20
    folder = RunFolder.open(out)
    ended = 0
    for arena in ArenaSet(out):
        ended += 1
        assert (await certify(arena, sandbox, seed=9)).certified
        right = rules.catalogue.find(arena.question)
        assert right is not None and right.answer == arena.answer
        assert json_problem("arena", arena.model_dump(mode="json"), 10**6) == ""
    for path in out.glob("*.failed.jsonl"):
        for failure in folder.rows(path.name.removesuffix(".jsonl"), FailureRow):
            ended += 1
            assert failure.message.strip()
            assert failure.kind == "rejected" or failure.type == "TeacherError", failure
    assert ended == len(rows)
