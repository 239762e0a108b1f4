"""Options of the commands on arenas."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from astra.configs.base import (
    ADDRESS,
    RUNTIME,
    CertifiedConfig,
    Config,
    Identified,
    MakeDistractorsConfig,
    NewRunFolder,
    OutputConfig,
    Paths,
    SandboxConfig,
    TeacherConfig,
    Weights,
    at_least,
    at_most,
)
from astra.configs.cluster import ClusterConfig
from astra.configs.difficulty import DifficultyConfig
from astra.configs.spelling import option_name
from astra.configs.target import TargetConfig
from astra.errors import ConfigError

QuestionLanguage = Literal["en", "zh"]
ScenarioName = Literal["single_hop", "parallel_single_hop", "multi_hop", "parallel_multi_hop"]
MAX_HOPS = 20
"""Most sub-questions of an arena. The words that questions count their steps by end here."""
MAX_USER_TURNS = 8
"""Most turns of the user in an arena."""
ConversationKind = Literal["missing_parameter", "missing_tool", "revision"]
"""What may happen in a conversation, in the words of BFCL v3 where it has one."""


@dataclass(frozen=True)
class MakeArenasConfig(
    DifficultyConfig,
    TargetConfig,
    MakeDistractorsConfig,
    SandboxConfig,
    ClusterConfig,
    OutputConfig,
):
    """Tables and questions."""

    tables: Paths | None = None
    """Files or folders: CSV, TSV, JSON, JSONL, Parquet, Excel, SQLite, DuckDB."""
    _: KW_ONLY
    openapi: Path | str | None = None
    """OpenAPI document, in place of tables: its operations are the tools, over a store that is
    generated from it. They ask for changes."""
    out: NewRunFolder = None
    """Run folder to write. In Python, None makes a temporary one."""
    count: Annotated[int, at_least(1)] = 100
    """Number to make: certified arenas."""
    min_hops: Annotated[int, at_least(1), at_most(MAX_HOPS)] = 1
    """Minimum sub-questions per arena."""
    max_hops: Annotated[int, at_least(1), at_most(MAX_HOPS)] = 5
    """Maximum sub-questions per arena."""
    languages: Weights[QuestionLanguage] = field(default_factory=lambda: {"en": 1.0})
    """Languages of the questions, with optional weights: en=0.7,zh=0.3. Both without weights: those
    of the ASTRA paper."""
    scenarios: Weights[ScenarioName] | None = None
    """Weights of the question shapes. None: those of the ASTRA paper."""
    operations: Sequence[str] | None = None
    """Operations that tools may perform: lookup, count, aggregate, count_where, list, rank, filter,
    find, compare, convert, difference, days_between, search. None: all."""
    actions: bool = False
    """Ask for changes: tools read and write a database that is cut from the tables."""
    min_user_turns: Annotated[int, at_least(1), at_most(MAX_USER_TURNS)] = 1
    """Minimum messages of a simulated user: with --actions, requests, one a message."""
    max_user_turns: Annotated[int, at_least(1), at_most(MAX_USER_TURNS)] = 1
    """Maximum messages of a simulated user: with --actions, requests. Above 1 questions are
    answered, too."""
    conversations: Sequence[ConversationKind] = ()
    """actions: what happens in conversations. missing_parameter: a value is told when it is asked
    for. missing_tool: the user brings a tool later. revision: the user wants something else."""
    service_policy: Literal["generated"] | None = None
    """actions: rules in the system prompt, by which a part of every other request is refused.
    generated: drawn for each arena. None: all that tools do is allowed."""
    max_group_rows: Annotated[int, at_least(6), at_most(200)] = 24
    """Maximum rows of a group that a question is about."""
    test_fraction: Annotated[float, at_least(0), at_most(0.9)] = 0.2
    """Fraction held out for the test split, of arenas and of entities."""
    table_options: Path | str | None = None
    """TOML file whose [table_options.NAME] tables describe keys, units and descriptions."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Items at the same time."""

    def check(self) -> None:
        super().check()
        if self.min_hops > self.max_hops:
            raise ConfigError(
                f"{option_name('min_hops')} {self.min_hops} is above {option_name('max_hops')} "
                f"{self.max_hops}: lower one of them"
            )
        if (not self.tables) == (self.openapi is None):
            raise ConfigError(
                f"give {option_name('tables')} or {option_name('openapi')}, one of the two"
            )
        of_questions = ("scenarios", "operations", "near_tools", "short_names", "other_values")
        of_tables = ("actions", "service_policy", "table_options", "terse_documents", "page_rows")
        for name in (*of_tables, "long_results", "other_units", *of_questions):
            if self.openapi is not None and getattr(self, name):
                raise ConfigError(
                    f"{option_name(name)} is for tables and has no effect with "
                    f"{option_name('openapi')}: leave one of them out"
                )
        if self.min_user_turns > self.max_user_turns:
            raise ConfigError(
                f"{option_name('min_user_turns')} {self.min_user_turns} is above "
                f"{option_name('max_user_turns')} {self.max_user_turns}: lower one of them"
            )
        talks = self.max_user_turns > 1 or self.conversations or self.service_policy
        if talks and not self.actions and self.openapi is None:
            name = "conversations" if self.conversations else "max_user_turns"
            if self.service_policy:
                name = "service_policy"
            raise ConfigError(
                f"{option_name(name)} is for arenas whose tools change something: add "
                f"{option_name('actions')}"
            )
        acts = self.actions or self.openapi is not None
        own = (
            "max_parts",
            "lookup_depth",
            "shown_tools",
            "page_rows",
            "long_results",
            "other_units",
        )
        for name in own:
            if not acts and getattr(self, name) not in (None, 0, False):
                raise ConfigError(
                    f"{option_name(name)} is for arenas whose tools change something: add "
                    f"{option_name('actions')}"
                )
        set_by_level = ("min_hops", "max_hops", "distractors_per_band")
        for name in (*set_by_level, "min_user_turns", "max_user_turns") if self.levels() else ():
            if getattr(self, name) != getattr(MakeArenasConfig, name):
                raise ConfigError(
                    f"{option_name(name)} {getattr(self, name)}: {option_name('difficulty')} sets "
                    "it for each level: leave one of them out"
                )
        for name in of_questions if self.actions else ():
            if getattr(self, name) is not None:
                raise ConfigError(
                    f"{option_name(name)} is for questions and has no effect with "
                    f"{option_name('actions')}: leave one of them out"
                )


@dataclass(frozen=True, kw_only=True)
class EndpointTeacherConfig(TeacherConfig):
    """Teacher."""

    # Unlike that of trajectories, the rule teacher of arenas answers from tables, so that it is a
    # server which has read them.
    teacher: str
    """Model that acts as teacher."""
    # `field()`: without it a dataclass takes the default of the class above.
    teacher_url: Annotated[str, ADDRESS, RUNTIME] = field()
    """OpenAI-compatible endpoint of the teacher, up to /v1. For trying out, start one with `python
    -m astra.testing.rule_teacher`."""


@dataclass(frozen=True, kw_only=True)
class SynthesizeArenasConfig(
    EndpointTeacherConfig, MakeDistractorsConfig, SandboxConfig, ClusterConfig, OutputConfig
):
    """Sources and questions."""

    questions: Path | str | None = None
    """JSONL of {question, domain}: each question is decomposed once."""
    corpus: Path | str | None = None
    """Folder of .txt and .md files, or JSONL of {domain, knowledge_corpus}."""
    domains: Path | str | None = None
    """JSONL of {domain, knowledge_corpus: ""}: questions are invented."""
    out: NewRunFolder = None
    """Run folder to write. In Python, None makes a temporary one."""
    count: Annotated[int | None, at_least(1)] = None
    """Number to make: certified arenas. None: one per question, else 100."""
    min_hops: Annotated[int, at_least(1), at_most(MAX_HOPS)] = 1
    """Minimum sub-questions per arena."""
    max_hops: Annotated[int, at_least(1), at_most(MAX_HOPS)] = 5
    """Maximum sub-questions per arena."""
    languages: Weights[QuestionLanguage] | None = None
    """Languages of the questions, with optional weights: en=0.7,zh=0.3. None: all."""
    scenarios: Weights[ScenarioName] | None = None
    """Weights of the question shapes. None: those of the ASTRA paper."""
    test_fraction: Annotated[float, at_least(0), at_most(0.9)] = 0.2
    """Fraction held out for the test split, of arenas and of entities."""
    judge_votes: Annotated[int, at_least(1)] = 3
    """Independent verdicts of a judge on each point."""
    min_quality: Annotated[float, at_least(0), at_most(1)] = 0.9
    """Least quality score of a decomposition."""
    quality_percentile: Annotated[float | None, at_least(0), at_most(100)] = None
    """Percentile of a wave's quality scores, in place of --min-quality."""
    max_attempts: Annotated[int, at_least(1)] = 4
    """Attempts per tool, the first included."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Items at the same time."""

    def check(self) -> None:
        super().check()
        if sum(source is not None for source in (self.questions, self.corpus, self.domains)) != 1:
            raise ConfigError(
                f"give one of {option_name('questions')}, {option_name('corpus')} and "
                f"{option_name('domains')}"
            )


@dataclass(frozen=True)
class ParaphraseArenasConfig(
    EndpointTeacherConfig,
    MakeDistractorsConfig,
    CertifiedConfig,
    SandboxConfig,
    ClusterConfig,
    OutputConfig,
):
    """Arenas."""

    arenas: Path | str | Identified
    """Run folder of arenas. In Python also an ArenaSet."""
    _: KW_ONLY
    out: NewRunFolder = None
    """Run folder to write. In Python, None makes a temporary one."""
    count: Annotated[int | None, at_least(1)] = None
    """Number to make: certified arenas. None: as many as there are."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Items at the same time."""


@dataclass(frozen=True)
class CertifyArenasConfig(SandboxConfig, ClusterConfig):
    """Arenas."""

    run: Path | str
    """Run folder of arenas."""
    _: KW_ONLY
    all_checks: bool = False
    """Run every check of an arena that failed one."""
    write: bool = False
    """Replace certificates.jsonl by the new certificates."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
    concurrency: Annotated[int | None, at_least(1), RUNTIME] = None
    """Items at the same time. None: one per core."""


@dataclass(frozen=True)
class ShowArenaConfig(Config):
    """Arena."""

    run: Path | str
    """Run folder of arenas."""
    arena: str
    """Id of an arena, or its beginning."""
    _: KW_ONLY
    source: bool = False
    """Show the source of the tools, too."""


@dataclass(frozen=True)
class PlayArenaConfig(CertifiedConfig, SandboxConfig):
    """Arena."""

    run: Path | str
    """Run folder of arenas."""
    arena: str
    """Id of an arena, or its beginning."""
    _: KW_ONLY
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""


@dataclass(frozen=True)
class DescribeArenasConfig(Config):
    """Tables."""

    tables: Paths
    """Files or folders: CSV, TSV, JSON, JSONL, Parquet, Excel, SQLite, DuckDB."""
    _: KW_ONLY
    table_options: Path | str | None = None
    """TOML file whose [table_options.NAME] tables describe keys, units and descriptions."""


@dataclass(frozen=True)
class ArenaStatsConfig(Config):
    """Arenas."""

    run: Path | str
    """Run folder of arenas."""


@dataclass(frozen=True)
class ImportArenasConfig(SandboxConfig, OutputConfig):
    """Rows."""

    file: Path | str
    """File of rows: JSONL; or a published folder."""
    _: KW_ONLY
    out: NewRunFolder = None
    """Run folder to write. In Python, None makes a temporary one."""
    format: Literal["astra-rl", "published"] = "astra-rl"
    """Format of the rows. astra-rl: that of the published ASTRA data. published: a folder that
    arenas export wrote for another trainer or evaluator."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Items at the same time."""


@dataclass(frozen=True)
class JoinArenasConfig(CertifiedConfig):
    """Arenas."""

    folders: Paths
    """Run folders of arenas, two or more."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME]
    """Run folder to write."""
    limit: Annotated[int | None, at_least(1)] = None
    """Use only the first items, of each folder. None: all."""
    if_exists: Annotated[Literal["fail", "overwrite"], RUNTIME] = "fail"
    """What to do if --out exists. overwrite: replace it."""


@dataclass(frozen=True)
class ExportArenasConfig(CertifiedConfig, SandboxConfig):
    """Rows."""

    run: Path | str
    """Run folder of arenas."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME]
    """File to write, or for another reader a folder."""
    format: Literal[
        "astra-rl",
        "sft",
        "trl",
        "verifiers",
        "inspect",
        "harbor",
        "verl",
        "hf",
        "openenv",
        "nemo-gym",
    ] = "astra-rl"
    """Format of the rows. astra-rl: that of the published ASTRA data. sft: gold episodes as
    conversations with tools. Folders with all that is needed to play: trl for its GRPOTrainer, hf
    for the HuggingFace hub, openenv, nemo-gym."""
    split: Literal["train", "test"] | None = None
    """Arenas of one split only. None: both; for sft train."""
    limit: Annotated[int | None, at_least(1)] = None
    """Use only the first items. None: all."""
    license: str = "other"
    """License of the data, for the data card, e.g. cc-by-4.0."""
    reasoning: bool = True
    """sft: state before each turn's calls which sub-questions they answer."""
    renamed_copies: Annotated[int, at_least(0)] = 0
    """sft: further copies of each episode, with other names of tools and parameters."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
    if_exists: Annotated[Literal["fail", "overwrite"], RUNTIME] = "fail"
    """What to do if --out exists. overwrite: replace it."""


@dataclass(frozen=True)
class DemoConfig(SandboxConfig):
    """Demo."""

    tables: Paths = "examples/world"
    """Files or folders: CSV, TSV, JSON, JSONL, Parquet, Excel, SQLite, DuckDB."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME] = "runs/demo"
    """Run folder to write."""
    count: Annotated[int, at_least(4)] = 100
    """Number to make: certified arenas."""
    seed: int = 7
    """Seed of every random choice. The same seed and inputs give the same bytes."""
