"""Options of the commands on trajectories."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from astra.configs.base import (
    RUNTIME,
    CommandLineName,
    Config,
    EpisodeConfig,
    ModelConfig,
    NewRunFolder,
    OutputConfig,
    TeacherConfig,
    Weights,
    at_least,
    at_most,
)
from astra.configs.spelling import option_name
from astra.errors import ConfigError

TaskAxis = Literal["original", "diversity", "complexity", "persona"]
ChainCheck = Literal["vote", "back_translation", "both"]
HostChoice = Literal["auto", "live", "emulator"]
RowFormat = Literal["trl", "sharegpt", "astra"]
ConversationFormat = Literal["auto", "openai", "trl", "sharegpt", "inspect", "atif"]

SCORES = ("QU", "QP", "TCU", "TCP", "TCS", "TC", "FA")

TASK_MIX: dict[TaskAxis, float] = {
    "original": 0.4,
    "diversity": 0.2,
    "complexity": 0.2,
    "persona": 0.2,
}


@dataclass(frozen=True)
class MakeTrajectoriesConfig(ModelConfig, TeacherConfig, EpisodeConfig, OutputConfig):
    """Trajectories."""

    _: KW_ONLY
    tools: Path | str
    """Folder of collected tools."""
    out: NewRunFolder = None
    """Run folder to write. In Python, None makes a temporary one."""
    model: str
    """Model: the name of one at --base-url, or `scripted`, which follows each task's plan."""
    teacher: str
    """Model that acts as teacher; rules: the built-in teacher for trying out."""
    count: Annotated[int, at_least(1)] = 100
    """Number to make: tasks."""
    samples: Annotated[int, at_least(1)] = 1
    """Number of episodes: per task."""
    task_mix: Weights[TaskAxis] = field(default_factory=lambda: dict(TASK_MIX))
    """How tasks come about: from tools, or varied in wording, in difficulty or by persona."""
    chain_fraction: Annotated[float, at_least(0), at_most(1)] = 0.7
    """Fraction of the original tasks that come from verified chains of tools."""
    min_chain: Annotated[int, at_least(2)] = 2
    """Minimum tools of a chain."""
    max_chain: Annotated[int, at_least(2)] = 5
    """Maximum tools of a chain."""
    acyclic: bool = False
    """Use no tool twice in a chain."""
    cross_server: bool = False
    """Also make chains across servers whose fields fit."""
    chain_check: ChainCheck = "vote"
    """How chains are verified: by votes of the teacher, by back-translation, or by both."""
    chain_votes: Annotated[int, at_least(1)] = 3
    """Verdicts on each chain; a strict majority decides."""
    judge_votes: Annotated[int, at_least(1)] = 1
    """Independent verdicts of a judge on each point."""
    personas: Path | str | None = None
    """JSONL file of user profiles. None: 200 built-in ones."""
    observations: Path | str | None = None
    """Earlier run folder: the results of its calls show what tools return. None: documents only."""
    failing_fraction: Annotated[float, at_least(0), at_most(1)] = 0.0
    """Maximum fraction of the tasks whose calls fail on live servers, e.g. since what they ask for
    is not there. Each plan is tried before its task is accepted."""
    hosts: HostChoice = "auto"
    """Where tools run. auto: live if all servers of a task are live, else emulated."""
    emulated_failure_rate: Annotated[float, at_least(0), at_most(1)] = 0.2
    """Fraction of emulated calls that fail."""
    user: Literal["none", "simulated"] = "none"
    """simulated: the teacher plays a user who speaks several times: tells what is missing when
    asked, has further wishes, changes their mind."""
    min_user_turns: Annotated[int, at_least(1)] = 1
    """Minimum messages of a simulated user."""
    max_user_turns: Annotated[int, at_least(1)] = 4
    """Maximum messages of a simulated user; how many there are is drawn for each episode."""
    answers_from: Annotated[Path | str | None, RUNTIME] = None
    """Earlier run folder, made with other options: its recorded answers, of the teacher and of the
    agent, are used where the same is asked. None: only those of --out."""
    allowed_tools: Sequence[str] | None = None
    """Names of the tools of live servers that the agent may use. None: all."""
    read_only: bool = False
    """Of live servers, use only tools that change nothing."""
    confine_servers: Annotated[bool, RUNTIME] = True
    """Keep live servers that we start from your files. See docs/tools.md."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Items at the same time."""

    def check(self) -> None:
        """Raise ConfigError for contradicting fields."""
        super().check()
        if self.min_chain > self.max_chain:
            raise ConfigError(
                f"{option_name('min_chain')} {self.min_chain} is above {option_name('max_chain')} "
                f"{self.max_chain}: lower one of them"
            )
        if self.min_user_turns > self.max_user_turns:
            raise ConfigError(
                f"{option_name('min_user_turns')} {self.min_user_turns} is above "
                f"{option_name('max_user_turns')} {self.max_user_turns}: lower one of them"
            )
        if self.user == "none" and self.min_user_turns > 1:
            raise ConfigError(
                f"{option_name('min_user_turns')} {self.min_user_turns} needs "
                f"{option_name('user')} simulated"
            )
        if "original" not in self.task_mix:
            raise ConfigError(
                f"{option_name('task_mix')} needs original tasks: the others are made from them"
            )
        if self.model != "scripted" and self.base_url is None:
            raise ConfigError(
                f"{option_name('model')} {self.model!r} needs {option_name('base_url')}; only "
                "'scripted' needs no endpoint"
            )


@dataclass(frozen=True)
class JudgeTrajectoriesConfig(TeacherConfig):
    """Trajectories."""

    run: Path | str
    """Run folder of trajectories."""
    _: KW_ONLY
    teacher: str
    """Model that acts as teacher; rules: the built-in teacher for trying out."""
    judgements: str | None = None
    """Name of a file of judgements, e.g. judgements-strict. None: judgements-TEACHER; of an
    imported run first judgements."""
    judge_votes: Annotated[int, at_least(1)] = 1
    """Independent verdicts of a judge on each point."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Items at the same time."""
    progress: Annotated[bool | None, RUNTIME] = None
    """Show progress. None: on a terminal and in a notebook."""


@dataclass(frozen=True)
class ExportTrajectoriesConfig(Config):
    """Data set."""

    run: Annotated[Path | str, RUNTIME]
    """Run folder of trajectories."""
    _: KW_ONLY
    out: Annotated[Path | str, RUNTIME]
    """Folder to write: rows, splits and a data card."""
    format: RowFormat = "trl"
    """Format of the rows. trl: messages and tools, as SFTTrainer takes them. sharegpt: turns as
    LLaMA-Factory takes them. astra: as the published data."""
    min_score: Annotated[float, at_least(0), at_most(1)] = 0.0
    """Minimum reward of a row."""
    min_scores: Mapping[str, float] = field(default_factory=dict[str, float])
    """Minimum of single scores, e.g. FA=1,TCS=0.5. One that a rollout doesn't have is not asked."""
    keep_disproved: bool = False
    """Also take rollouts that the record disproves: answers with numbers, links or a language that
    nothing supports, and planned changes that never succeeded."""
    json_columns: bool = False
    """Write tools and the arguments of calls as JSON text, which every version of `datasets` reads
    as it is."""
    max_per_task: Annotated[int | None, at_least(1)] = None
    """Maximum rows per task, the best first. None: all."""
    test_fraction: Annotated[float, at_least(0), at_most(0.9)] = 0.1
    """Fraction held out for the test split, of the rows, by server."""
    judgements: str = "judgements"
    """Name of a file of judgements, e.g. judgements-strict."""
    tools: Annotated[Path | str | None, RUNTIME] = None
    """Folder of collected tools, for the domains. None: the one that the run names."""
    license: str = "other"
    """License of the data, for the data card, e.g. cc-by-4.0."""
    parquet: Annotated[bool, RUNTIME] = False
    """Also write Parquet files."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""

    def check(self) -> None:
        """Raise ConfigError for scores that don't exist."""
        super().check()
        for name, least in self.min_scores.items():
            if name not in SCORES or not 0 <= least <= 1:
                raise ConfigError(
                    f"{option_name('min_scores')} {name}={least:g}: give scores among "
                    f"{', '.join(SCORES)} and numbers from 0 to 1"
                )


@dataclass(frozen=True)
class ImportTrajectoriesConfig(OutputConfig):
    """Conversations."""

    file: Path | str
    """File of rows: JSONL, a JSON list, an eval log or a trajectory."""
    _: KW_ONLY
    out: NewRunFolder = None
    """Run folder to write. In Python, None makes a temporary one."""
    format: Annotated[ConversationFormat, CommandLineName("from")] = "auto"
    """Format of the conversations. openai, trl: rows of messages and tools. sharegpt: rows of
    conversations. inspect: a log of Inspect AI. atif: a trajectory of Harbor. auto: the one that a
    row has the marks of."""
    tools: Path | str | None = None
    """Folder of collected tools, for conversations that bring none. None: no tools are added."""
    max_document_mib: Annotated[int, at_least(1), RUNTIME] = 64
    """Maximum size of a document, in MiB. Files of lines may be larger."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Items at the same time."""


@dataclass(frozen=True)
class ShowTrajectoriesConfig(Config):
    """Trajectories."""

    run: Path | str
    """Run folder of trajectories."""
    rollout: str | None = None
    """Id of a rollout, or its beginning. None: a list."""
    _: KW_ONLY
    judgements: str = "judgements"
    """Name of a file of judgements, e.g. judgements-strict."""
    limit: Annotated[int, at_least(1)] = 50
    """Use only the first items: rollouts in the list."""


@dataclass(frozen=True)
class ReplayTrajectoriesConfig(Config):
    """Trajectories."""

    run: Path | str
    """Run folder of trajectories."""


@dataclass(frozen=True)
class TrajectoryStatsConfig(Config):
    """Trajectories."""

    run: Path | str
    """Run folder of trajectories."""
    _: KW_ONLY
    judgements: str = "judgements"
    """Name of a file of judgements, e.g. judgements-strict."""
    plots: Path | str | None = None
    """Folder for PNG and SVG plots. None: none."""


@dataclass(frozen=True)
class ProbeUserConfig(TeacherConfig):
    """Simulated user."""

    _: KW_ONLY
    teacher: str
    """Model that acts as teacher; rules: the built-in teacher for trying out."""
    repeats: Annotated[int, at_least(1)] = 1
    """Number of times that each probe is asked."""
    seed: int = 0
    """Seed of every random choice. The same seed and inputs give the same bytes."""
