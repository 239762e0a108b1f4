"""Stage `decompositions`: a teacher proposes or decomposes a question; the result is checked.

What a row guarantees: ids, an acyclic graph, the requested hops and shape, typed answers, texts of
reasonable length in the language of the source, and a question that asks to find something out, not
to do something. Not that the answers are true.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from astra.arenas.scenarios import MIN_HOPS, PAPER_SHARES, scenarios_within
from astra.arenas.synthesis.actions import asks_to_act
from astra.arenas.synthesis.records import DecomposedItem, SynthesisItem
from astra.arenas.synthesis.rule_checks import (
    check_distinct,
    check_graph,
    check_words,
    step_scenario,
    typed_answer,
)
from astra.errors import Rejected
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import (
    DECOMPOSE,
    PROPOSE,
    DecomposeIn,
    Decomposition,
    ProposeIn,
)
from astra.types import Language, Scenario

DECOMPOSITIONS = "decompositions"
_ACTION = "the question asks to do something, and arenas keep no state that it could change"


@dataclass(frozen=True, slots=True)
class DecomposeOptions:
    """What is requested of decompositions."""

    min_hops: int = 1
    """Fewest steps, those without a tool included."""
    max_hops: int = 5
    scenarios: Mapping[Scenario, float] = field(default_factory=lambda: dict(PAPER_SHARES))
    """Shares of shapes among proposed questions; a given question takes the shape it needs."""
    seed: int = 0

    def allowed(self) -> dict[Scenario, float]:
        """Shapes that the hops leave room for; ConfigError if there is none."""
        return scenarios_within((self.min_hops, self.max_hops), self.scenarios)


def decompositions_stage(
    teacher: Teacher, options: DecomposeOptions
) -> Stage[SynthesisItem, DecomposedItem]:
    """Items to checked decompositions."""
    shares = options.allowed()

    async def work(item: SynthesisItem) -> DecomposedItem:
        low, high = options.min_hops, options.max_hops
        if item.mode == "question":
            _check_no_action(item.question, item.language)
            question_task = DecomposeIn(
                domain=item.domain,
                corpus=item.corpus,
                language=item.language,
                least_hops=low,
                most_hops=high,
                question=item.question,
            )
            decomposition = await teacher.ask(DECOMPOSE, question_task)
            return checked_decomposition(item, decomposition, (low, high), None)
        # Drawn per item, not in turn: the shape must not depend on which items came before.
        rng = random.Random(f"{options.seed}:{item.key}")
        scenario = rng.choices(list(shares), list(shares.values()))[0]
        # A single hop is one step, whatever range was requested for the others.
        single = scenario is Scenario.single_hop
        task = ProposeIn(
            domain=item.domain,
            corpus=item.corpus,
            language=item.language,
            least_hops=low if single else max(low, MIN_HOPS[scenario]),
            most_hops=1 if single else high,
            scenario=scenario,
            number=item.number,
        )
        proposal = await teacher.ask(PROPOSE, task)
        return checked_decomposition(item, proposal, (task.least_hops, task.most_hops), scenario)

    return Stage(DECOMPOSITIONS, work)


def checked_decomposition(
    item: SynthesisItem,
    decomposition: Decomposition,
    hops: tuple[int, int],
    scenario: Scenario | None,
) -> DecomposedItem:
    """The decomposition as a row. `Rejected` says what is wrong with it."""
    if decomposition.acts:
        raise Rejected("action", f"{_ACTION}: {decomposition.reason or 'the teacher says so'}")
    if not decomposition.answerable:
        raise Rejected("unanswerable", decomposition.reason or "the teacher gave no reason")
    if not hops[0] <= len(decomposition.steps) <= hops[1]:
        raise Rejected(
            "hops", f"{len(decomposition.steps)} steps; {hops[0]} to {hops[1]} were requested"
        )
    # A given question stays as it was given, however the teacher words it.
    question = (item.question or decomposition.question).strip()
    _check_no_action(question, item.language)
    check_graph(decomposition.steps)
    steps = tuple(
        step.model_copy(
            update={
                "answer": typed_answer(step.answer, step.kind, f"the answer of step {step.id!r}"),
                "question": step.question.strip(),
            }
        )
        for step in decomposition.steps
    )
    check_words(question, steps, item.language)
    check_distinct(steps)
    answer = typed_answer(decomposition.answer, decomposition.kind, "the answer")
    actual = step_scenario(steps)
    if scenario is not None and actual is not scenario:
        raise Rejected("scenario", f"the steps are {actual.value}; {scenario.value} was requested")
    return DecomposedItem(
        key=item.key,
        mode=item.mode,
        origin=item.origin,
        domain=item.domain,
        language=item.language,
        question=question,
        corpus=item.corpus,
        answer=answer,
        kind=decomposition.kind,
        steps=steps,
        scenario=actual,
    )


def _check_no_action(question: str, language: Language) -> None:
    if asks_to_act(question, language):
        raise Rejected("action", f"{_ACTION}: {question[:200]!r}")
