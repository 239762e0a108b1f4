"""What to train for: kinds of arenas beside the categories of the field's benchmarks.

Which kind resembles which category is a judgement about what they ask for, made by people and
written down here. It is not a measurement: nothing says that training on the one raises the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from astra.arenas.folder import ARENAS
from astra.errors import ConfigError
from astra.evaluation.benchmarks.run import SOURCES, open_summary
from astra.evaluation.evaluate import EvaluationReport
from astra.runs.folder import RunFolder
from astra.runs.repetitions import unique_rows
from astra.types import ArenaRow, Record, Scenario

Resembles = Callable[[ArenaRow], bool]


class Skill(NamedTuple):
    """What some categories of a benchmark ask for, and which arenas ask for the like."""

    benchmark: str
    categories: tuple[str, ...]
    """Empty: all of them."""
    asks: str
    resembles: Resembles | None
    """None: no kind of arenas does."""
    make: str = ""
    """Options of `astra arenas make` that make them."""
    lacks: str = ""
    """What the category has and arenas have not."""


class TransferLine(Record):
    """A skill, with the arenas of a run that train it and with scores."""

    benchmark: str
    categories: tuple[str, ...]
    asks: str
    arenas: int
    make: str
    lacks: str
    scores: dict[str, float | None]
    """By evaluation: the mean score of the categories, or the mean F1 on the arenas. None: none of
    its tasks were played."""


class TransferTable(Record):
    """A run folder of arenas beside the benchmarks."""

    arenas: int
    unmatched: int
    """Arenas that resemble no category."""
    lines: tuple[TransferLine, ...]


def _conversation(kind: str) -> Resembles:
    return lambda arena: arena.provenance.get("conversation") == kind


def _dial(name: str) -> Resembles:
    def resembles(arena: ArenaRow) -> bool:
        dials = arena.provenance.get("dials")
        return isinstance(dials, dict) and bool(dials.get(name))

    return resembles


def _has_turns(arena: ArenaRow) -> bool:
    return arena.state is not None and len(arena.state.turns) > 1


def _has_one_turn(arena: ArenaRow) -> bool:
    """Whether changes that take several steps are asked for at once."""
    return arena.state is not None and len(arena.state.turns) <= 1 and arena.hops > 1


def _has_policy(arena: ArenaRow) -> bool:
    return arena.state is not None and arena.state.policy is not None


def _is_one_call(arena: ArenaRow) -> bool:
    return arena.state is None and arena.scenario == Scenario.single_hop


def _is_one_of_several(arena: ArenaRow) -> bool:
    return _is_one_call(arena) and bool(arena.distractors)


def _is_parallel(arena: ArenaRow) -> bool:
    return arena.state is None and arena.scenario == Scenario.parallel_single_hop


def _has_one_turn_in(language: str) -> Resembles:
    return lambda arena: _has_one_turn(arena) and arena.language == language


_TURNS = "--actions --max-user-turns 4"
SKILLS = (
    Skill(
        "bfcl",
        ("multi_turn_base",),
        "changes of a state over several turns",
        _has_turns,
        _TURNS,
    ),
    Skill(
        "bfcl",
        ("multi_turn_miss_param",),
        "asking for a value that the user left out",
        _conversation("missing_parameter"),
        f"{_TURNS} --conversations missing_parameter",
    ),
    Skill(
        "bfcl",
        ("multi_turn_miss_func",),
        "saying that a tool is missing, until it comes",
        _conversation("missing_tool"),
        f"{_TURNS} --conversations missing_tool",
    ),
    Skill(
        "bfcl",
        ("multi_turn_long_context",),
        "finding what matters in long results",
        _dial("long_results"),
        f"{_TURNS} --long-results 40",
    ),
    Skill(
        "bfcl",
        ("simple_python", "simple_java", "simple_javascript", "live_simple"),
        "one call with the right arguments",
        _is_one_call,
        "--scenarios single_hop=1",
        "values of Java and JavaScript",
    ),
    Skill(
        "bfcl",
        ("multiple", "live_multiple"),
        "the right one of several tools",
        _is_one_of_several,
        "--scenarios single_hop=1 --distractors-per-band 5",
    ),
    Skill(
        "bfcl",
        ("parallel", "parallel_multiple", "live_parallel", "live_parallel_multiple"),
        "several independent calls at once",
        _is_parallel,
        "--scenarios parallel_single_hop=1",
    ),
    Skill(
        "bfcl",
        ("irrelevance", "live_irrelevance", "live_relevance"),
        "calling nothing where no tool helps",
        None,
        lacks="requests that no tool serves: the nearest are conversations with missing_tool",
    ),
    Skill(
        "tau2",
        ("telecom",),
        "many dependent steps, without a user",
        _has_one_turn,
        "--actions --max-hops 5",
        "a policy of many pages",
    ),
    Skill(
        "tau2",
        ("retail", "airline"),
        "a policy kept in talk with a user",
        _has_policy,
        f"{_TURNS} --service-policy generated",
        "a policy of many pages",
    ),
    Skill(
        "acebench",
        ("multi_step_en",),
        "several dependent changes asked for at once",
        _has_one_turn_in("en"),
        "--actions --max-hops 5 --languages en=1",
    ),
    Skill(
        "acebench",
        ("multi_step_zh",),
        "several dependent changes asked for at once, in Chinese",
        _has_one_turn_in("zh"),
        "--actions --max-hops 5 --languages zh=1",
    ),
    Skill(
        "acebench",
        ("multi_turn_en", "multi_turn_zh"),
        "changes in talk with a user who has to be asked",
        _conversation("missing_parameter"),
        f"{_TURNS} --conversations missing_parameter --languages en=1,zh=1",
    ),
    Skill("maths", (), "reasoning without tools", None, lacks="problems without calls"),
)


def transfer_table(run: Path | str, evaluations: Sequence[Path | str] = ()) -> TransferTable:
    """Line up the arenas of a run folder with the benchmarks.

    `evaluations`: run folders of evaluations, on these arenas or by benchmarks. Raises ConfigError
    if one is not finished, or is of other arenas.
    """
    rows = unique_rows(RunFolder.open(run), ARENAS, ArenaRow, attrgetter("id"))
    members: list[set[str]] = [set() for _ in SKILLS]
    total = unmatched = 0
    for arena in rows:
        total += 1
        matching = [
            own
            for skill, own in zip(SKILLS, members, strict=True)
            if skill.resembles is not None and skill.resembles(arena)
        ]
        unmatched += not matching
        for own in matching:
            own.add(arena.id)
    scores = {str(path): _scores(path, members) for path in evaluations}
    lines = tuple(
        TransferLine(
            benchmark=skill.benchmark,
            categories=skill.categories,
            asks=skill.asks,
            arenas=len(members[place]),
            make=skill.make,
            lacks=skill.lacks,
            scores={name: of_skills[place] for name, of_skills in scores.items()},
        )
        for place, skill in enumerate(SKILLS)
    )
    return TransferTable(arenas=total, unmatched=unmatched, lines=lines)


def _scores(path: Path | str, members: Sequence[set[str]]) -> list[float | None]:
    """The score of each skill in one evaluation."""
    folder = RunFolder.open(path)
    if folder.exists(SOURCES):
        summary = open_summary(folder)
        return [
            _mean(
                [
                    (category.score.mean, category.tasks)
                    for name, category in summary.categories.items()
                    if skill.benchmark == summary.benchmark
                    and (name in skill.categories or not skill.categories)
                ]
            )
            for skill in SKILLS
        ]
    scored = [
        (episode.trajectory.task, episode.score.f1)
        for episode in EvaluationReport.open(path).episodes
        if episode.score is not None
    ]
    known = set[str]().union(*members)
    if not any(arena in known for arena, _ in scored):
        raise ConfigError(
            f"{str(path)!r} has no scored episode of these arenas that resembles a benchmark: "
            "give an evaluation of the same run folder"
        )
    return [_mean([(f1, 1) for arena, f1 in scored if arena in own]) for own in members]


def _mean(values: Sequence[tuple[float, int]]) -> float | None:
    weight = sum(count for _, count in values)
    return math.fsum(value * count for value, count in values) / weight if weight else None
