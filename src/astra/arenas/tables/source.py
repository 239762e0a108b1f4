"""Draws arenas from tables, one numbered candidate after the other.

A candidate depends on the tables, the options and its number alone. What a candidate may not
share with earlier ones (the same calls again, a call that stands on the other side of the
train/test split) is decided here, in order, before any work is done on it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from astra.arenas.difficulty import UNSET, DialSettings, LevelDraw
from astra.arenas.scenarios import MIN_HOPS, PAPER_SHARES, scenarios_within
from astra.arenas.tables.build import TableArenaBuilder
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.planner import Planner
from astra.arenas.tables.questions.grammar import Grammar
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.tools import ToolWriter
from astra.arenas.tables.views import ArenaSplit
from astra.arenas.tables.world import World
from astra.errors import ConfigError, Rejected
from astra.types import Arena, Json, Language, Scenario, canonical_json, content_hash

T = TypeVar("T")

PAPER_LANGUAGES: dict[Language, float] = {"en": 0.712, "zh": 0.288}
"""Shares of English and Chinese in the paper."""


MAX_DRAWS = 120
"""Draws for one candidate before it is given up."""
MAX_LEVEL_DRAWS = 40
"""The same where levels are drawn: deep plans fail often, and another scenario or number of hops is
found sooner than one more of the same."""
MAX_FAILURES = 50
"""Candidates in a row that no draw filled, after which the tables count as exhausted."""


@dataclass(frozen=True, slots=True)
class TableSourceOptions:
    """What to draw."""

    hops: tuple[int, int] = (1, 5)
    languages: Mapping[Language, float] = field(default_factory=lambda: {"en": 1.0})
    """Language -> share."""
    scenarios: Mapping[Scenario, float] = field(default_factory=lambda: dict(PAPER_SHARES))
    """Scenario -> share; those that the hops don't allow are left out."""
    operations: frozenset[str] | None = None
    """Allowed operations of calls. None: all. Answer nodes call nothing: always allowed."""
    test_share: float = 0.2
    """Share of arenas, and of entities, that are kept for testing."""
    seed: int = 0
    max_rows: int = 24
    """Rows of the largest group that is asked about; a tool holds at most twice as many."""
    dials: DialSettings = UNSET
    """Of all arenas, where there are no levels."""
    levels: Mapping[int, DialSettings] = field(default_factory=dict[int, DialSettings])
    """Level -> its dials. Levels are drawn evenly. Empty: no levels."""

    def at(self, level: int | None) -> DialSettings:
        """The dials of a level, or without levels those of all arenas."""
        return self.dials if level is None else self.levels[level]


@dataclass(frozen=True, slots=True)
class CandidateTableArena:
    """One numbered candidate: an arena to certify, or the reason there is none."""

    key: str
    outcome: Arena | Rejected


def numbered_candidates(
    prefix: str, draw: Callable[[str, int], Arena]
) -> Iterator[CandidateTableArena]:
    """Candidates 0, 1, 2, …; ends after `MAX_FAILURES` failures in a row.

    `draw`: the arena of a key and a number; raises `Rejected` if there is none.
    """
    number = failures = 0
    while failures < MAX_FAILURES:
        key = f"{prefix}-{number:06d}"
        try:
            outcome = draw(key, number)
            failures = 0
        except Rejected as rejected:
            outcome = rejected
            failures += 1
        yield CandidateTableArena(key, outcome)
        number += 1


class TableSource:
    """Draws candidates over a set of tables."""

    def __init__(self, tables: Tables, schema: Schema, options: TableSourceOptions) -> None:
        self._options = options
        unknown = sorted((options.operations or frozenset()) - set(OPERATIONS))
        if unknown or options.operations == frozenset():
            raise ConfigError(f"operations {unknown!r}: choose from {', '.join(OPERATIONS)}")
        self._levels = LevelDraw(options.levels)
        self._scenarios = {
            level: scenarios_within(options.at(level).hops or options.hops, options.scenarios)
            for level in options.levels or (None,)
        }
        worlds: dict[Language, World] = {
            language: World(
                tables,
                schema,
                language,
                seed=options.seed,
                test_share=options.test_share,
                max_rows=options.max_rows,
            )
            for language in options.languages
        }
        splits = [split for w in worlds.values() for split in w.entities.values()]
        if not any(rows for split in splits for rows in split.values()):
            raise ConfigError(
                "no table has a column whose values name single rows: set `naming` for a table "
                "in tables.toml"
            )
        self._planners = {language: Planner(world) for language, world in worlds.items()}
        self._builders = {
            language: TableArenaBuilder(Grammar(schema, language), ToolWriter(world, worlds))
            for language, world in worlds.items()
        }
        self.draws: Counter[str] = Counter()
        """Outcome -> number of draws that ended so."""
        self._call_sets: set[bytes] = set()
        self._splits: dict[bytes, ArenaSplit] = {}

    def candidates(self) -> Iterator[CandidateTableArena]:
        """Candidates 0, 1, 2, …; ends after `MAX_FAILURES` failures in a row."""
        return numbered_candidates(f"tables-{self._options.seed}", self._candidate)

    def _candidate(self, key: str, number: int) -> Arena:
        rng = random.Random(f"{self._options.seed}:{number}")
        return self._levels.draw(partial(self._drawn, key, rng), self.draws)

    def _drawn(self, key: str, rng: random.Random, level: int | None) -> Arena:
        dials, scenarios = self._options.at(level), self._scenarios[level]
        provenance: dict[str, Json] = {
            "source": "tables",
            "key": key,
            "seed": self._options.seed,
        }
        if level is not None:
            provenance["level"] = level
        if settings := dials.provenance():
            provenance["dials"] = settings
        language = rng.choices(*_choices(self._options.languages))[0]
        scenario = rng.choices(*_choices(scenarios))[0]
        low, high = dials.hops or self._options.hops
        hops = rng.randint(max(low, MIN_HOPS[scenario]), high if high > 1 else 1)
        hops = 1 if scenario is Scenario.single_hop else hops
        split: ArenaSplit = "test" if rng.random() < self._options.test_share else "train"
        # Scenario, hops and split stay over the draws, so that the shares come out as asked for.
        draws = MAX_DRAWS if level is None else MAX_LEVEL_DRAWS
        for _ in range(draws):
            plan = self._planners[language].plan(rng, scenario, hops, split, dials.short_names)
            if plan is None:
                self.draws["no path in the tables"] += 1
                continue
            steps, allowed = plan.steps(), self._options.operations
            if allowed is not None and any(step.operation not in allowed for step in steps):
                self.draws["operation not asked for"] += 1
                continue
            calls = [step.call_key() for step in steps]
            # Digests of 12 bytes: long runs hold millions of calls in memory.
            call_set, digests = _digest(sorted(calls)), [_digest(call) for call in calls]
            try:
                if call_set in self._call_sets:
                    raise Rejected("duplicate", "an earlier question needs the same calls")
                if any(self._splits.get(digest, split) != split for digest in digests):
                    raise Rejected("split", "the other side of the train/test split has the call")
                arena = self._builders[language].build(plan, rng, provenance, dials)
            except Rejected as rejected:
                self.draws[rejected.check] += 1
                continue
            self._call_sets.add(call_set)
            self._splits |= dict.fromkeys(digests, split)
            self.draws["built"] += 1
            return arena
        raise Rejected(
            "plan",
            f"no {scenario.value} question of {hops} hops in {language} in {draws} draws",
        )


def fingerprint(tables: Tables, schema: Schema) -> str:
    """A hash of all cells and of the schema: a run resumes only on the tables it began with."""
    cells = [
        tables.connection.execute(
            f'SELECT count(*), CAST(bit_xor(hash(t)) AS VARCHAR) FROM "{table.name}" t'
        ).fetchone()
        for table in schema.tables
    ]
    # Notes list the folder's other files, and the run folder itself may be one of them.
    content = schema.model_dump(
        mode="json", exclude={"notes": True, "tables": {"__all__": {"notes"}}}
    )
    return content_hash([cells, content])


def _digest(value: object) -> bytes:
    return hashlib.sha256(canonical_json(value).encode()).digest()[:12]


def _choices(shares: Mapping[T, float]) -> tuple[list[T], list[float]]:
    return list(shares), list(shares.values())
