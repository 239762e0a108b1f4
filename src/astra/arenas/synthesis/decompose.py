"""Stage `decompositions`: a teacher proposes or decomposes a question; the result is checked.

What a row guarantees: ids, an acyclic graph, hops and shape as asked, typed answers, texts of sane
length in the language of the source. Not that the answers are true.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from astra.arenas.scenarios import MIN_HOPS, PAPER_SHARES, scenarios_within
from astra.arenas.synthesis.records import DecomposedItem, SynthesisItem
from astra.arenas.synthesis.rule_checks import (
    check_distinct,
    check_graph,
    check_words,
    shape,
    typed,
)
from astra.errors import Rejected
from astra.runs.cost import StageMeter
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import (
    DECOMPOSE,
    PROPOSE,
    DecomposeIn,
    Decomposition,
    DecompositionStep,
    ProposeIn,
)
from astra.types import Scenario

DECOMPOSITIONS = "decompositions"


@dataclass(frozen=True, slots=True)
class DecomposeOptions:
    """What is asked of decompositions."""

    hops: tuple[int, int] = (1, 5)
    """Fewest and most steps, those without a tool included."""
    scenarios: Mapping[Scenario, float] = field(default_factory=lambda: dict(PAPER_SHARES))
    """Shares of shapes among proposed questions; a given question takes the shape it needs."""
    seed: int = 0

    def allowed(self) -> dict[Scenario, float]:
        """Shapes that the hops leave room for; ConfigError when there is none."""
        return scenarios_within(self.hops, self.scenarios)


def decompositions_stage(
    teacher: Teacher, options: DecomposeOptions, meter: StageMeter
) -> Stage[SynthesisItem, DecomposedItem]:
    """Items to checked decompositions."""
    shares = options.allowed()

    async def work(item: SynthesisItem) -> DecomposedItem:
        low, high = options.hops
        source = {
            "domain": item.domain,
            "corpus": item.corpus,
            "language": item.language,
            "least_hops": low,
            "most_hops": high,
        }
        if item.mode == "question":
            given = DecomposeIn.model_validate({**source, "question": item.question})
            return checked(item, await teacher.ask(DECOMPOSE, given), options.hops, None)
        rng = random.Random(f"{options.seed}:{item.key}")
        scenario = rng.choices(list(shares), list(shares.values()))[0]
        if scenario is Scenario.single_hop:
            source["most_hops"] = 1
        else:
            source["least_hops"] = max(low, MIN_HOPS[scenario])
        asked = ProposeIn.model_validate({**source, "scenario": scenario, "number": item.number})
        found = await teacher.ask(PROPOSE, asked)
        return checked(item, found, (asked.least_hops, asked.most_hops), scenario)

    return Stage(
        name=DECOMPOSITIONS,
        work=work,
        key=lambda item: item.key,
        stored_key=lambda row: row["key"],
        stored_id=lambda row: row["key"],
        meter=meter,
    )


def checked(
    item: SynthesisItem, found: Decomposition, hops: tuple[int, int], scenario: Scenario | None
) -> DecomposedItem:
    """The decomposition as a row; `Rejected` with what is wrong with it.

    A question that was given stands as it was given, however the teacher puts it.
    """
    if not found.answerable:
        raise Rejected("unanswerable", found.reason or "the teacher gave no reason")
    if not hops[0] <= len(found.steps) <= hops[1]:
        raise Rejected("hops", f"{len(found.steps)} steps; {hops[0]} to {hops[1]} were asked for")
    question = (item.question or found.question).strip()
    check_graph(found.steps)
    steps = [_typed(step) for step in found.steps]
    check_words(question, steps, item.language)
    check_distinct(steps)
    answer = typed(found.answer, found.kind, "the answer")
    actual = shape(steps)
    if scenario is not None and actual is not scenario:
        raise Rejected("scenario", f"the steps are {actual.value}, asked for {scenario.value}")
    return DecomposedItem(
        key=item.key,
        mode=item.mode,
        origin=item.origin,
        domain=item.domain,
        language=item.language,
        question=question,
        answer=answer,
        kind=found.kind,
        steps=tuple(steps),
        scenario=actual,
    )


def _typed(step: DecompositionStep) -> DecompositionStep:
    answer = typed(step.answer, step.kind, f"the answer of step {step.id!r}")
    question = step.question.strip()
    return step.model_copy(update={"answer": answer, "question": question})
