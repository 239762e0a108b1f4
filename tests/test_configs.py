"""Option classes: one declaration for keywords, TOML files, the command line, help and identity."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tomli_w

import astra.cli.main as cli
import astra.configs
from astra.arenas.tables.operations import OPERATIONS
from astra.cli.command import command_from
from astra.cli.help_layout import help_text, metavar
from astra.configs import arenas as arena_options
from astra.configs import benchmarks as benchmark_options
from astra.configs import evaluation as evaluation_options
from astra.configs import serve as serve_options
from astra.configs import tools as tool_options
from astra.configs import training as training_options
from astra.configs import trajectories as trajectory_options
from astra.configs.base import (
    RUNTIME,
    Config,
    OutputConfig,
    Paths,
    Weights,
    at_least,
    at_most,
    below,
    configured,
    identity,
    options,
    runtime,
)
from astra.configs.files import read_options
from astra.configs.options import Option, build
from astra.configs.plan import PlanTrainingConfig
from astra.errors import ConfigError
from astra.runs.opening import open_run
from astra.types import Language, Scenario


@dataclass(frozen=True, kw_only=True)
class SectionConfig(Config):
    """Section."""

    alpha: Annotated[float, at_least(0), below(1)] = 0.5
    """Weight. 0: none."""


@dataclass(frozen=True)
class SampleConfig(OutputConfig):
    """Sample options."""

    tables: Paths
    """Files."""
    _: KW_ONLY
    out: Annotated[Path | str | None, RUNTIME] = None
    """Run folder to write."""
    count: Annotated[int, at_least(1), at_most(9)] = 3
    """Number of things. In Python, any integer type is allowed."""
    rate: float | None = None
    """Learning rate. None: the preset's."""
    languages: Weights[Literal["en", "zh"]] = field(default_factory=lambda: {"en": 1.0})
    """Languages."""
    names: Sequence[Literal["a", "b", "c", "d"]] = ()
    """Names."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Rates by name."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Anything."""
    preset: Literal["auto", "big"] | str = "auto"
    """Values that go together."""
    reward: str | Callable[..., float] = "f1"
    """Reward."""
    fast: bool | None = None
    """Be fast. None: the preset's."""
    strict: bool = False
    """Be strict."""
    concurrency: Annotated[int, at_least(1), RUNTIME] = 8
    """Things at the same time."""
    section: SectionConfig = SectionConfig()


make = configured(SampleConfig)(lambda config: config)


def typed(*arguments: str, config: type[Config] = SampleConfig) -> Any:
    """The options of a command line."""
    configs: list[Config] = []

    @command_from(config, examples=[])
    def command(config: Config) -> None:
        configs.append(config)

    files, rest = cli.read_files(arguments)
    function, bound, _ = command.parse_args(rest, print_error=False, exit_on_error=False)
    function(*bound.args, **bound.kwargs, **({"_file": files[0]} if files else {}))()
    return configs[0]


# --- one meaning in every layer -----------------------------------------------------------------


def test_keywords_a_file_and_the_command_line_give_the_same(tmp_path: Path) -> None:
    file = tmp_path / "sample.toml"
    file.write_text(
        'tables = ["a", "b"]\ncount = 4\nrate = 1\nlanguages = ["en", "zh"]\nnames = "a,b"\n'
        'preset = "my.toml"\nfast = false\nrates = {"*norm*" = 0.03}\n'
        "extra = {beta = 0.9, on = true}"
        "\n[section]\nalpha = 0.25\n"
    )
    line = typed(
        *("a", "b", "--count", "4", "--rate", "1", "--languages", "en,zh", "--names", "a,b"),
        *("--preset", "my.toml", "--no-fast", "--rates", "*norm*=0.03"),
        *("--extra", "beta=0.9,on=true", "--section-alpha", "0.25"),
    )
    python = make(
        ["a", "b"],
        count=4,
        rate=1,
        languages=["en", "zh"],
        names=["a", "b"],
        preset="my.toml",
        fast=False,
        rates={"*norm*": 0.03},
        extra={"beta": 0.9, "on": True},
        section=SectionConfig(alpha=0.25),
    )
    assert typed(f"@{file}") == line == python
    assert python.tables == (Path("a"), Path("b")) and python.rate == 1.0


def test_what_is_typed_wins_over_the_file_in_sections_too(tmp_path: Path) -> None:
    file = tmp_path / "sample.toml"
    file.write_text('tables = "a"\ncount = 4\nfast = true\n[section]\nalpha = 0.25')
    config = typed(f"@{file}", "--count", "5", "--no-fast", "--section-alpha", "0.75")
    assert (config.count, config.fast, config.section.alpha) == (5, False, 0.75)
    assert typed("t", "--count", "5", "--count", "6").count == 6


def test_a_section_may_stand_for_a_path(tmp_path: Path) -> None:
    file = tmp_path / "arenas.toml"
    file.write_text('tables = "a"\n[table_options.rivers]\ndomain = "nature"')
    values = read_options(file, arena_options.MakeArenasConfig)
    assert values["table_options"] == file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t", "--count", "0"], "--count '0': must be at least 1"),
        (["t", "--count", "10"], "--count '10': must be at most 9"),
        (["t", "--count", "1.5"], "--count '1.5': write a whole number"),
        (["t", "--rate", "nan"], "--rate 'nan': write a finite number"),
        (["t", "--section-alpha", "1"], "--section-alpha '1': must be below 1"),
        (["t", "--languages", "en=x"], "the weight 'x' of 'en' is not a number"),
        (["t", "--languages", "fr"], "'fr' is unknown: choose among en, zh"),
        (["t", "--languages", "en=0"], "name at least one with a weight above 0"),
        (["t", "--if-exists", "resum"], "did you mean 'resume'?"),
        (["t", "--rates", "a"], "'a' has no value: write NAME=VALUE,..."),
        (["--count", "2"], "TABLES... is needed"),
    ],
)
def test_a_wrong_value_is_named_with_the_fix(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        typed(*arguments)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"cuont": 1}, "'cuont' is not an option: did you mean 'count'?"),
        ({"tables": "t", "count": 0}, "count=0: must be at least 1"),
        ({"tables": "t", "count": True}, "count=True: write a whole number"),
        ({"tables": "t", "strict": "yes"}, "strict='yes': write true or false"),
        ({"tables": []}, "tables=[]: write at least one path"),
        ({"tables": "t", "section": {"alpha": 2}}, "alpha=2: must be below 1"),
        ({}, "'tables' is needed"),
    ],
)
def test_a_wrong_keyword_is_named(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make(**keywords)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuont = 1", "'cuont' is not an option of this command: did you mean 'count'?"),
        ("zzz = 1", "see --help"),
        ("[section]\nalhpa = 1", "'section.alhpa' is not an option of this command"),
        ("[section]\nalpha = 1", "section.alpha = 1: must be below 1"),
        ('strict = "yes"', "strict = 'yes': write true or false"),
        ("if-exists = 'fail'\nif_exists = 'fail'", "stands there twice"),
        ("= what", "is not a TOML file"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sample.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_options(path, SampleConfig)
    assert message in str(error.value) and repr(str(path)) in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, message in [(tmp_path / "none", "there is no file"), (tmp_path, "can't read")]:
        with pytest.raises(ConfigError, match=message):
            read_options(name, SampleConfig)
    with pytest.raises(ConfigError, match="is larger than"):
        read_options(Path("/dev/zero"), SampleConfig)
    with pytest.raises(ConfigError, match="one @file, not 2"):
        cli.read_files(["@a", "@b"])
    assert cli.read_files(["run", "--", "@x"]) == ([], ["run", "--", "@x"])
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbfcount = 2")
    assert read_options(tmp_path / "bom.toml", SampleConfig) == {"count": 2}


# --- errors on several options -----------------------------------------------------------------

_TEACHER = {"teacher": "big", "teacher_url": "http://x/v1"}
_RL = {"model": "m", "arenas": "a", "out": "r"}
_AGENT = {"tools": "t", "out": "r", "model": "scripted", "teacher": "rules"}
CONFLICTS: list[tuple[type[Config], dict[str, Any], set[str]]] = [
    (
        trajectory_options.ExportTrajectoriesConfig,
        {"run": "r", "out": "o", "min_scores": {"FAX": 1.0}},
        {"min_scores"},
    ),
    (
        arena_options.MakeArenasConfig,
        {"tables": "t", "out": "r", "difficulty": "2", "max_hops": 2},
        {"difficulty", "max_hops"},
    ),
    (
        evaluation_options.SelectArenasConfig,
        {"arenas": "r", "policy": "gold", "out": "o", "pass_rate": "0.8:0.2"},
        {"pass_rate"},
    ),
    (
        arena_options.MakeArenasConfig,
        {"tables": "t", "out": "r", "min_hops": 3, "max_hops": 2},
        {"min_hops", "max_hops"},
    ),
    (
        arena_options.MakeArenasConfig,
        {"tables": "t", "out": "r", "embedding_model": "m"},
        {"embedding_model", "embedding_url"},
    ),
    (
        arena_options.SynthesizeArenasConfig,
        {**_TEACHER, "out": "r", "questions": "q", "corpus": "c"},
        {"questions", "corpus", "domains"},
    ),
    (
        tool_options.CollectToolsConfig,
        {"sources": "s", "out": "r", "teacher": "big"},
        {"teacher", "teacher_url"},
    ),
    (
        tool_options.CollectToolsConfig,
        {"sources": "s", "out": "r", "teacher_url": "http://x/v1"},
        {"teacher", "teacher_url"},
    ),
    (
        trajectory_options.MakeTrajectoriesConfig,
        {**_AGENT, "min_chain": 4, "max_chain": 3},
        {"min_chain", "max_chain"},
    ),
    (
        trajectory_options.MakeTrajectoriesConfig,
        {**_AGENT, "user": "simulated", "min_user_turns": 3, "max_user_turns": 2},
        {"min_user_turns", "max_user_turns"},
    ),
    (
        trajectory_options.MakeTrajectoriesConfig,
        {**_AGENT, "min_user_turns": 2},
        {"min_user_turns", "user"},
    ),
    (trajectory_options.MakeTrajectoriesConfig, {**_AGENT, "task_mix": "persona"}, {"task_mix"}),
    (
        trajectory_options.MakeTrajectoriesConfig,
        {**_AGENT, "model": "some"},
        {"model", "base_url"},
    ),
    (serve_options.ServeArenasConfig, {"run": "r", "stdio": True}, {"stdio", "arena"}),
    (evaluation_options.EvaluateConfig, {"arenas": "a"}, {"model", "policy"}),
    (
        evaluation_options.EvaluateConfig,
        {"arenas": "a", "policy": "gold", "base_url": "http://x/v1"},
        {"base_url", "model"},
    ),
    (
        evaluation_options.EvaluateConfig,
        {"arenas": "a", "model": "m", "base_url": "http://x/v1", "max_length": 9},
        {"max_length", "max_agent_tokens"},
    ),
    (benchmark_options.BfclConfig, {"model": "m", "policy": "gold"}, {"model", "policy"}),
    (
        benchmark_options.BfclConfig,
        {"policy": "gold", "base_url": "http://x/v1"},
        {"base_url", "model"},
    ),
    (
        benchmark_options.Tau2Config,
        {"model": "m", "user_model": "u"},
        {"user_model", "user_url"},
    ),
    (
        benchmark_options.Tau2Config,
        {"model": "m", "categories": "retail"},
        {"categories", "user_model", "policy"},
    ),
    (
        training_options.TrainRLConfig,
        {**_RL, "algorithm": "none"},
        {"algorithm"},
    ),
    (
        training_options.TrainRLConfig,
        {**_RL, "credit": {"options": {"cue": 1}}},
        {"credit.options"},
    ),
    (
        training_options.TrainRLConfig,
        {**_RL, "partial_rollouts": True, "max_staleness": 1},
        {"partial_rollouts", "max_staleness"},
    ),
    (
        training_options.TrainRLConfig,
        {**_RL, "partial_rollouts": True, "max_staleness": 2, "deterministic": True},
        {"partial_rollouts", "deterministic"},
    ),
    (PlanTrainingConfig, {"model": "m", "concurrency": 8}, {"concurrency"}),
    (
        PlanTrainingConfig,
        {"model": "m", "method": "rl", "context_parallel": 2},
        {"context_parallel"},
    ),
    (
        PlanTrainingConfig,
        {"model": "m", "method": "rl", "gpus": 2, "engine": "transformers"},
        {"engine", "sharding"},
    ),
]


def _on_a_line(config: type[Config], values: Mapping[str, Any]) -> list[str]:
    line: list[str] = []
    for option in options(config):
        section = values.get(option.section, {}) if option.section else values
        if (value := section.get(option.field)) is not None:
            text = ",".join(f"{k}={v}" for k, v in value.items()) if value == {"cue": 1} else value
            name = [] if option.positional else [f"--{option.name}"]
            line += name if value is True else [*name, str(text)]
    return line


@pytest.mark.parametrize(("config", "values", "fields"), CONFLICTS)
def test_an_error_names_options_as_they_were_given(
    tmp_path: Path, config: type[Config], values: dict[str, Any], fields: set[str]
) -> None:
    file = tmp_path / "options.toml"
    file.write_text(tomli_w.dumps(values))
    labels = {o.path: f"--{o.name}" for o in options(config)}
    in_file = {o.path for o in options(config) if o.section} | set(values)

    def names(error: pytest.ExceptionInfo[ConfigError]) -> set[str]:
        return set(re.findall(r"(?<![\w-])(?:--)?[a-z]+(?:[-_.][a-z]+)*", str(error.value)))

    with pytest.raises(ConfigError) as python:
        build(config, values)
    assert fields <= names(python) and "--" not in str(python.value)
    with pytest.raises(ConfigError) as line:
        typed(*_on_a_line(config, values), config=config)
    assert {labels[field] for field in fields} <= names(line)
    # Names of fields, not of values: an algorithm's may have an underscore.
    assert not re.search(
        r"[a-z]_[a-z]", re.sub("|".join(training_options.ALGORITHMS), "", str(line.value))
    )
    with pytest.raises(ConfigError) as toml:
        typed(f"@{file}", config=config)
    assert {field if field in in_file else labels[field] for field in fields} <= names(toml)


def test_every_check_of_several_options_has_a_case() -> None:
    checked = {cls for cls, _ in all_options() if "check" in vars(cls)}
    tried = {base for cls, _, _ in CONFLICTS for base in cls.__mro__}
    assert not checked - tried


def test_no_error_spells_an_option_by_hand() -> None:
    """`option_name` knows whether the reader gave a keyword, a key or an option."""
    source = Path(astra.configs.__path__[0]).parent
    written: list[str] = []
    for path in source.rglob("*.py"):
        # The command line may name its own options; the servers of `testing` have others.
        if path.parts[len(source.parts)] in ("cli", "testing"):
            continue
        for raised in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(raised, ast.Raise):
                for part in ast.walk(raised):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        text = re.sub(r"`[^`]*`", "", part.value)
                        if re.search(r"(?<!\w)--(?!help\b)[a-z]", text):
                            written.append(f"{path}:{part.lineno}: {part.value}")
    assert not written


# --- help ---------------------------------------------------------------------------------------


def test_help_says_range_choices_and_default() -> None:
    by_name = {option.name: option for option in options(SampleConfig)}
    assert help_text(by_name["count"]) == "Number of things. [≤ 9; default: 3]"
    assert help_text(by_name["rate"]) == "Learning rate. [default: the preset's]"
    assert metavar(by_name["languages"]) == "en|zh[=WEIGHT],..."
    assert help_text(by_name["names"]).endswith("One or more of: a, b, c, d.")
    assert metavar(by_name["preset"]) == "auto|big|FILE"
    assert help_text(by_name["section-alpha"]) == "Weight. 0: none. [< 1; default: 0.5]"
    assert help_text(by_name["tables"]) == "Files. [required]" and by_name["tables"].positional
    # Own options first, then sections, then the bases.
    names = list(by_name)
    assert names.index("concurrency") < names.index("section-alpha") < names.index("seed")


def test_a_help_page_shows_all_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["arenas", "make", "--help"]) == 0
    page = capsys.readouterr().out
    assert cli.run(["arenas", "make", "--help"]) == 0
    assert capsys.readouterr().out == page, "a second page in the same process"
    assert page.startswith("usage: astra arenas make [TABLES...] [@FILE.toml] [OPTIONS]\n")
    for option in options(arena_options.MakeArenasConfig):
        assert option.positional or f"--{option.name}" in page
    assert page.index("Tables and questions:") < page.index("Distractors:") < page.index("Run:")
    assert max(map(len, page.splitlines())) <= 100


def test_help_of_training_imports_nothing_heavy() -> None:
    """A page of help is printed in a quarter of a second of CPU time only without these."""
    code = """
import sys
from astra.cli.main import run
run(["train", "rl", "--help"])
print([name for name in ("pydantic", "torch", "numpy", "jinja2", "openai") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_first_line_of_a_command_is_its_line_in_the_list() -> None:
    paths = [
        ((group, verb), line)
        for group, (_, verbs) in cli.GROUPS.items()
        for verb, line in verbs.items()
    ]
    paths += [((name,), line) for name, line in cli.COMMANDS.items()]
    for path, line in paths:
        command = importlib.import_module(f"astra.cli.{'_'.join(path)}").command
        assert command.help.splitlines()[0] == line, path


# --- identity and resuming ----------------------------------------------------------------------


def named_reward(arena: object, trajectory: object) -> float:
    """A reward of one's own."""
    return 1.0


def test_identity_leaves_runtime_options_out() -> None:
    config = make("t", out="x", concurrency=2, reward=named_reward)
    stored = identity(config)
    assert not {"out", "concurrency", "if_exists", "rate"} & set(stored)
    assert stored["reward"].startswith(f"{__name__}:named_reward@")
    assert stored["section"] == {"alpha": 0.5}
    assert runtime(config)["concurrency"] == 2
    with pytest.raises(ConfigError, match="lambda"):
        identity(make("t", reward=lambda arena, trajectory: 1.0))


def test_the_same_options_resume_and_others_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    folder = open_run(make("t", out=out), out, inputs={"tables": "abc"})
    (folder.path / "model").mkdir()
    assert open_run(make("t", concurrency=1), out, inputs={"tables": "abc"}).path == out
    with pytest.raises(ConfigError, match=r"count was 3 and is now 4\."):
        open_run(make("t", count=4, seed=5), out, inputs={"tables": "abc"})
    with pytest.raises(ConfigError, match=r"inputs\.tables was 'abc' and is now 'x'"):
        open_run(make("t"), out, inputs={"tables": "x"})
    with pytest.raises(ConfigError, match="exists"):
        open_run(make("t", if_exists="fail"), out, inputs={"tables": "abc"})
    fresh = open_run(make("t", count=4, if_exists="overwrite"), out)
    assert fresh.config()["count"] == 4 and not (out / "model").exists()


def test_a_temporary_folder_ends_with_its_run_folder() -> None:
    folder = open_run(make("t"), None)
    path = folder.path
    assert folder.config()["command"] == "sample"
    del folder
    assert not path.exists()


# --- the option classes of the package ----------------------------------------------------------


def all_options() -> Iterator[tuple[type, Option]]:
    """Every option of every option class."""
    for module in pkgutil.iter_modules(astra.configs.__path__):
        members = vars(importlib.import_module(f"astra.configs.{module.name}")).values()
        for cls in members:
            if inspect.isclass(cls) and issubclass(cls, Config) and cls is not Config:
                for option in options(cls):
                    yield cls, option


def test_every_option_is_documented() -> None:
    missing = [f"{cls.__name__}.{o.field}" for cls, o in all_options() if not o.documentation]
    assert not missing


def test_an_option_has_one_type_and_one_meaning() -> None:
    """`| None`, narrower choices and another default may differ, and so what follows it."""
    first: dict[str, tuple[type, Option]] = {}
    for cls, option in all_options():
        known_cls, known = first.setdefault(option.name, (cls, option))
        where = f"--{option.name} of {known_cls.__name__} and {cls.__name__}"
        assert option.kind == known.kind, where
        # What is read decides by its content in some commands, by its path in others.
        assert option.runtime == known.runtime or option.field in ("run", "tools"), where
        assert _meaning(option) == _meaning(known), where


def _meaning(option: Option) -> str:
    """The first sentence; the thing that is written or read may be named as it is."""
    first = re.split(r"[.:,;]", option.documentation)[0]
    # "Arenas per step" and "Rows per step" mean the same of different items.
    first = re.sub(r"^(Arenas|Episodes|Rows)(?= per| at)", "Items", first)
    first = re.sub(r"per (arena|task)$", "per item", first)
    if option.field in ("out", "run", "runs"):
        return re.sub(r"^(Run folder|Folder|File)s?( set| of \w+( \w+)?)?", "Run folder", first)
    return first


def test_choices_are_those_of_the_records() -> None:
    assert typing.get_args(arena_options.QuestionLanguage) == typing.get_args(Language)
    assert typing.get_args(arena_options.ScenarioName) == tuple(s.value for s in Scenario)


def test_the_operations_in_the_help_are_those_of_the_registry() -> None:
    option = next(o for o in options(arena_options.MakeArenasConfig) if o.field == "operations")
    listed = " ".join(option.documentation.split()).partition(": ")[2].partition(". ")[0]
    assert listed.split(", ") == list(OPERATIONS)
    table = (Path(__file__).parents[1] / "docs" / "arenas.md").read_text(encoding="utf-8")
    row = next(line for line in table.splitlines() if line.startswith("| `--operations"))
    assert set(re.findall(r"`(\w+)`", row.partition(" | ")[2])) == set(OPERATIONS)
