"""What the tests of synthesis share: a rule teacher, a sandbox, and a teacher to interfere with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.pipeline import ArenaPipeline
from astra.arenas.synthesis.pipeline import ArenaSynthesis, SynthesisOptions
from astra.arenas.synthesis.records import SynthesisItem
from astra.arenas.synthesis.sources import SourceMaterial, items
from astra.models.embed_tfidf import TfidfEmbedder
from astra.protocols import Sandbox
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner
from astra.runs.stage import StageReport
from astra.teacher.prompt import Prompt, Teacher
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.types import Record

WORLD = Path(__file__).parents[2] / "examples" / "world"

Change = Callable[[Any, Any, int], Any]
"""From input, right answer and index to what is answered; an exception is raised."""


@dataclass
class Meddler:
    """A teacher whose answers to some prompts are changed. Keeps what it was asked."""

    teacher: Teacher
    changes: dict[str, Change] = field(default_factory=dict)
    asked: list[tuple[str, Record, int]] = field(default_factory=list)
    name: str = "meddler"

    async def ask(self, prompt: Prompt[Any, Any], task: Any, *, index: int = 0) -> Any:
        self.asked.append((prompt.name, task, index))
        right = await self.teacher.ask(prompt, task, index=index)
        change = self.changes.get(prompt.name)
        answer = change(task, right, index) if change else right
        if isinstance(answer, Exception):
            raise answer
        return answer

    def count(self, prompt: str) -> int:
        return sum(name == prompt for name, _, _ in self.asked)


@pytest.fixture(scope="session")
def rules() -> RuleTeacher:
    return RuleTeacher.of_tables([WORLD], seed=1, size=20)


@pytest.fixture(scope="session")
def questions(rules: RuleTeacher) -> list[SourceMaterial]:
    return [
        SourceMaterial(
            "question", arena.domain, arena.language, arena.question, f"questions, {number}"
        )
        for number, arena in enumerate(rules.catalogue.arenas)
    ]


@pytest.fixture
def sandbox(session_sandbox: Sandbox) -> Sandbox:
    return session_sandbox


@pytest.fixture
def make(tmp_path: Path, sandbox: Any) -> Callable[..., Any]:
    """Run the line; the folder and the reports."""

    async def made(
        teacher: Teacher,
        material: Sequence[SourceMaterial],
        *,
        name: str = "run",
        count: int = 6,
        concurrency: int = 8,
        **options: Any,
    ) -> tuple[RunFolder, dict[str, StageReport]]:
        folder = RunFolder.create(tmp_path / name, {"test": True})
        runner = StageRunner(folder, concurrency)
        line = ArenaSynthesis(ArenaPipeline(runner, sandbox, TfidfEmbedder()), teacher)
        return folder, await line.make(items(material), SynthesisOptions(count=count, **options))

    return made


def item_of(material: SourceMaterial) -> SynthesisItem:
    return material.item(0)
