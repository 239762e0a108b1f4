"""What the rule teacher knows: some hundred arenas that were drawn from tables, indexed by
question.

Drawn once at start, from the tables, the options and the seed alone: a teacher that is started
again knows the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from astra.arenas.certificate.containment import document_text
from astra.arenas.certificate.leak import leaks
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.source import TableSource, TableSourceOptions
from astra.core.text import normalise
from astra.errors import ConfigError
from astra.testing.rule_teacher.arenas.tools import decoys_of, tool_of
from astra.types import Arena, Goal, Language

LEAST_DECOYS = 5
"""An implementation must name that many other calls; arenas with fewer are left out."""


@dataclass(frozen=True, slots=True)
class CatalogueOptions:
    """What is drawn."""

    size: int = 200
    """Candidates drawn per language; some are left out."""
    languages: tuple[Language, ...] = ("en", "zh")
    hops: tuple[int, int] = (1, 5)
    seed: int = 0


LONGEST_QUESTION = 20_000
"""Characters; longer texts are looked up nowhere."""

_known = lru_cache(maxsize=16_384)(normalise)
"""For questions of the catalogue, which are asked about again and again."""


class KnownStep(NamedTuple):
    """A step of a known question."""

    arena: Arena
    goal: Goal


class Catalogue:
    """Arenas by question. All questions are compared after normalisation."""

    def __init__(self, arenas: Iterable[Arena]) -> None:
        self.arenas = tuple(arenas)
        self._by_question: dict[str, Arena] = {}
        self._by_step: dict[str, list[KnownStep]] = defaultdict(list)
        for arena in self.arenas:
            self._by_question.setdefault(normalise(arena.question), arena)
            for goal in arena.goals:
                self._by_step[normalise(goal.question)].append(KnownStep(arena, goal))
        self._found = lru_cache(maxsize=1024)(self._find)

    @classmethod
    def of_tables(
        cls, paths: Sequence[Path], options: CatalogueOptions = CatalogueOptions()
    ) -> Catalogue:
        """Draw from tables; raises TableError, and ConfigError when nothing can be asked."""
        arenas: list[Arena] = []
        with load(paths) as tables:
            schema = profile(tables)
            for language in options.languages:
                drawn = TableSourceOptions(
                    hops=options.hops, languages={language: 1.0}, test_share=0, seed=options.seed
                )
                candidates = TableSource(tables, schema, drawn).candidates()
                outcomes = (candidate.outcome for candidate in islice(candidates, options.size))
                arenas += [a for a in outcomes if isinstance(a, Arena) and _teachable(a)]
        if not arenas:
            raise ConfigError(
                f"the tables {[str(path) for path in paths]!r} give no question to teach with: "
                "add tables, or rows to them"
            )
        return cls(arenas)

    def find(self, question: str) -> Arena | None:
        """The arena of a main question, also when other words stand around it."""
        return self._found(question) if len(question) <= LONGEST_QUESTION else None

    def _find(self, question: str) -> Arena | None:
        text = normalise(question)
        if text in self._by_question:
            return self._by_question[text]
        # A paraphrase puts sentences around a question; of several that fit, the longest says most.
        inside = [known for known in self._by_question if known in text]
        return self._by_question[max(inside, key=len)] if inside else None

    def step(self, main_question: str, question: str) -> KnownStep | None:
        """A step of a main question; of a text that names several steps, the last."""
        arena = self.find(main_question)
        goals = covered(arena, question) if arena is not None else []
        return KnownStep(arena, goals[-1]) if arena is not None and goals else None

    def named(self, question: str) -> list[KnownStep]:
        """All steps of that wording, of whatever main question.

        Of a text that names several steps, those of the last come first.
        """
        if len(question) > LONGEST_QUESTION:
            return []
        text = normalise(question)
        if text in self._by_step:
            return self._by_step[text]
        inside = [known for known in self._by_step if known in text]
        inside.sort(key=lambda known: (-text.rfind(known), -len(known)))
        return [found for known in inside for found in self._by_step[known]]


def covered(arena: Arena, question: str) -> list[Goal]:
    """The goals that a step asks for, in the arena's order: one when it is atomic."""
    if len(question) > LONGEST_QUESTION:
        return []
    text = normalise(question)
    exact = [goal for goal in arena.goals if _known(goal.question) == text]
    return exact[:1] or [goal for goal in arena.goals if _known(goal.question) in text]


def _teachable(arena: Arena) -> bool:
    """Whether each of its tools, written for one step alone, would serve in an arena."""
    calls = [goal for goal in arena.goals if goal.call is not None]
    if any(len(decoys_of(arena, [goal])) < LEAST_DECOYS for goal in calls):
        return False
    documents = [tool_of(arena, [goal]) for goal in calls]
    text = "\n".join(document_text(tool) for tool in documents)
    answers = [(goal.answer, goal.target) for goal in arena.goals]
    if any(leaks(answer, text, target) for answer, target in answers):
        return False
    if leaks(arena.answer, text, arena.answer_target):
        return False
    for goal in calls:
        # An answer that stands in what is found before would need no tool.
        before = [other.answer for other in arena.goals if other.id in goal.depends_on]
        if any(leaks(goal.answer, str(answer), goal.target) for answer in before):
            return False
    return len({normalise(goal.question) for goal in arena.goals}) == len(arena.goals)
