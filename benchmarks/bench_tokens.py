"""Tokens that a teacher takes per arena: a token for four characters of messages and answers.

The rule teacher answers, which is right at once: what a model is asked again for comes on top.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astra.arenas.pipeline import ARENAS, ArenaPipeline
from astra.arenas.synthesis.pipeline import ArenaSynthesis, SynthesisOptions
from astra.arenas.synthesis.sources import SourceMaterial, items
from astra.models.embed_tfidf import TfidfEmbedder
from astra.protocols import Reply, Sampling
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner
from astra.sandbox import open_sandbox
from astra.teacher.model import ModelTeacher
from astra.teacher.prompts.arenas import ALL
from astra.teacher.render import as_task, read_task
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.types import FinishReason, Json, Message, Usage

WORLD = Path(__file__).parents[1] / "examples" / "world"
ARENAS_MADE, STEPS, SEED, VOTES = 12, range(3, 6), 1, 1
PARTS = {
    "decomposing": ("decompose",),
    "judging": tuple(
        f"judge_{point}"
        for point in ("necessity", "dependency", "atomicity", "rationality", "completeness")
    ),
    "writing tools": ("write_document", "scale_document", "write_call", "write_tool"),
    "grouping and extending": ("group_steps", "extend_tool"),
}
_PROMPTS = {prompt.name: prompt for prompt in ALL}


class RuleModel:
    """A model that answers rendered prompts by the rule teacher, and counts characters."""

    name = "rules"

    def __init__(self, rules: RuleTeacher) -> None:
        self._rules = rules
        self.requests = Counter[str]()
        self.characters_in = Counter[str]()
        self.characters_out = Counter[str]()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        response_format: Mapping[str, Json] | None = None,
    ) -> Sequence[Reply]:
        del response_format
        task = read_task([message.model_dump() for message in messages])
        assert task is not None
        prompt = _PROMPTS[task.prompt]
        answer = await self._rules.ask(
            prompt, as_task(prompt, task.fields), index=sampling.seed or 0
        )
        text = json.dumps(answer.model_dump(mode="json"), ensure_ascii=False)
        self.requests[prompt.name] += 1
        self.characters_in[prompt.name] += sum(len(message.content) for message in messages)
        self.characters_out[prompt.name] += len(text)
        return [Reply(Message(role="assistant", content=text), FinishReason.stop, Usage())]


async def _made(model: RuleModel, material: Sequence[SourceMaterial], folder: Path) -> int:
    """Number of arenas that come out."""
    runner = StageRunner(RunFolder.create(folder, {}))
    teacher = ModelTeacher(model, sampling=Sampling(seed=0))
    async with open_sandbox() as sandbox:
        line = ArenaSynthesis(ArenaPipeline(runner, sandbox, TfidfEmbedder()), teacher)
        options = SynthesisOptions(count=len(material), judge_votes=VOTES)
        return (await line.make(items(material), options))[ARENAS].accepted


def measure() -> dict[str, dict[str, Any]]:
    """Tokens in and out, and requests, per certified arena."""
    rules = RuleTeacher.of_tables([WORLD], seed=SEED, size=20, languages=("en",))
    chosen = [arena for arena in rules.catalogue.arenas if len(arena.goals) in STEPS]
    material = [
        SourceMaterial("question", arena.domain, arena.language, arena.question, str(number))
        for number, arena in enumerate(chosen[:ARENAS_MADE])
    ]
    model = RuleModel(rules)
    with tempfile.TemporaryDirectory() as folder:
        made = asyncio.run(_made(model, material, Path(folder) / "run"))
    figures: dict[str, dict[str, Any]] = {
        "arenas of 12 questions": {"value": made, "goal": ARENAS_MADE, "unit": "", "ok": made == 12}
    }
    for part, names in (*PARTS.items(), ("all", tuple(model.requests))):
        for counts, what, divisor in (
            (model.characters_in, "tokens in", 4),
            (model.characters_out, "tokens out", 4),
            (model.requests, "requests", 1),
        ):
            value = sum(counts[name] for name in names) / divisor / made
            figures[f"{part}, {what} per arena"] = {
                "value": round(value, 1),
                "goal": None,
                "unit": "",
                "ok": None,
            }
    return figures
