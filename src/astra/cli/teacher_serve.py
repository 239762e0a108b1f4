"""`astra teacher serve`: the rule teachers behind an OpenAI-compatible endpoint, for tests."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, cast, get_args

import typer

from astra.cli.console import err
from astra.errors import ConfigError
from astra.teacher.catalogue import ALL
from astra.teacher.prompts import arenas
from astra.teacher.several import SeveralTeachers
from astra.testing.rule_teacher.arenas import ArenaDefect, FaultRates, RuleTeacher
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.testing.rule_teacher.trajectories.agent import RuleAgent
from astra.testing.rule_teacher.trajectories.catalogue import all_defects
from astra.testing.rule_teacher.trajectories.faults import TrajectoryFaultRates
from astra.testing.teacher_faults import FaultPlan, TeacherServerFault
from astra.testing.teacher_server import ServedReasoning, TeacherServer
from astra.types import Json, Language

EXAMPLE = Path("examples/world")


def _defects() -> list[str]:
    """The names of what can be wrong, in arenas and in trajectories."""
    return list(dict.fromkeys([*(defect.value for defect in ArenaDefect), *all_defects()]))


def serve_command(
    tables: Annotated[
        list[Path] | None,
        typer.Option(
            "--tables",
            help="What the teacher knows: a folder or file of tables. Repeatable. "
            "Default: examples/world.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    port_file: Annotated[
        Path | None, typer.Option(help="File that gets the port once the server listens.")
    ] = None,
    faults: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that go wrong.")
    ] = 0.0,
    fault_kinds: Annotated[
        str | None,
        typer.Option(
            help=f"Which; default: all of {', '.join(TeacherServerFault)}.", show_default=False
        ),
    ] = None,
    wrong: Annotated[
        str | None,
        typer.Option(
            help="Wrong answers, as in hard_coded_tool=0.3,leak=0.1, or all=0.3 for every prompt. "
            f"Defects: {', '.join(_defects())}.",
            show_default=False,
        ),
    ] = None,
    latency: Annotated[float, typer.Option(min=0, help="Seconds before each answer.")] = 0.0,
    hold: Annotated[
        float, typer.Option(min=0, help="Seconds that the slow faults take.")
    ] = FaultPlan().hold,
    retry_after: Annotated[
        float, typer.Option(min=0, help="Seconds that a 429 asks to wait.")
    ] = FaultPlan().retry_after,
    reasoning: Annotated[ServedReasoning, typer.Option(help="How replies reason.")] = "none",
    size: Annotated[int, typer.Option(min=1, help="Candidate questions drawn per language.")] = 200,
    languages: Annotated[str, typer.Option(help="Of the questions.")] = "en,zh",
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
) -> None:
    """Serve the rule teachers as model `rules`, to try the pipelines out without a model.

    Of arenas, they know only questions over their tables; of trajectories, what tool documents
    say. Requests with tools are answered by an agent that carries out what they word. GET /stats
    tells what was asked. Listens on the loopback alone, until interrupted.

    \b
    Examples:
      astra teacher serve --port 8010
      astra teacher serve --port-file port.txt --faults 0.2 --seed 7
      astra teacher serve --port 8010 --wrong all=0.3
    """
    plan = FaultPlan(
        faults, seed=seed, kinds=_kinds(fault_kinds), hold=hold, retry_after=retry_after
    )
    in_arenas, in_trajectories = _wrongness(wrong, seed)
    tables_teacher = RuleTeacher.of_tables(
        tables or [_example()],
        seed=seed,
        size=size,
        languages=_languages(languages),
        wrongness=in_arenas,
    )
    documents_teacher = TrajectoryRules(seed=seed, wrongness=in_trajectories)
    of_arenas = {prompt.name for prompt in arenas.ALL}
    teacher = SeveralTeachers(
        "rules",
        {
            prompt.name: tables_teacher if prompt.name in of_arenas else documents_teacher
            for prompt in ALL
        },
    )

    def planted() -> dict[str, Json]:
        found = [*tables_teacher.planted.values(), *documents_teacher.planted.values()]
        return {"planted": [asdict(one) for one in found]}

    server = TeacherServer(
        teacher,
        faults=plan,
        latency=latency,
        port=port,
        reasoning=reasoning,
        extra=planted,
        agent=RuleAgent(),
    )
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with server:
        if port_file is not None:
            _write_whole(port_file, f"{server.port}\n")
        err().print(f"model {teacher.name!r} at {server.url}", markup=False)
        stopped.wait()


def _example() -> Path:
    if not EXAMPLE.is_dir():
        raise ConfigError(f"there is no {str(EXAMPLE)!r} here: name tables with --tables")
    return EXAMPLE


def _kinds(text: str | None) -> tuple[TeacherServerFault, ...]:
    names = list(TeacherServerFault) if text is None else [part.strip() for part in text.split(",")]
    try:
        return tuple(TeacherServerFault(name) for name in names)
    except ValueError as error:
        raise ConfigError(
            f"--fault-kinds: {error}; choose among {', '.join(TeacherServerFault)}"
        ) from None


def _wrongness(text: str | None, seed: int) -> tuple[FaultRates, TrajectoryFaultRates]:
    """The rates for both rule teachers; a defect that both know is planted by both."""
    rates: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, rate = part.strip().partition("=")
        if name not in (*_defects(), "all"):
            raise ConfigError(f"--wrong {name!r}: choose among all, {', '.join(_defects())}")
        try:
            rates[name] = float(rate)
        except ValueError:
            raise ConfigError(f"--wrong {part!r}: write defect=rate, as in leak=0.1") from None
    overall = rates.pop("all", 0.0)
    in_arenas = {
        ArenaDefect(name): rate for name, rate in rates.items() if name in list(ArenaDefect)
    }
    in_trajectories = {name: rate for name, rate in rates.items() if name in all_defects()}
    return (
        FaultRates(in_arenas, seed=seed, overall=overall),
        TrajectoryFaultRates(in_trajectories, seed=seed, overall=overall),
    )


def _languages(text: str) -> tuple[Language, ...]:
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in get_args(Language):
            raise ConfigError(f"--languages {name!r}: choose among {', '.join(get_args(Language))}")
    return cast(tuple[Language, ...], tuple(names))


def _write_whole(path: Path, text: str) -> None:
    """So that who waits for the file never reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)
