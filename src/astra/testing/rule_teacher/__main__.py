"""`python -m astra.testing.rule_teacher`: the rule teachers behind an OpenAI-compatible endpoint.

To try the pipelines out without a model. Of arenas, they know only questions over their tables; of
trajectories, what tool documents say. Requests with tools are answered by an agent that carries out
what they say. GET /stats gives the counts.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import cast, get_args

from astra.core.files import write_file
from astra.errors import ConfigError
from astra.teacher.catalogue import ALL
from astra.teacher.prompts import arenas
from astra.testing.rule_teacher.arenas import ArenaDefect, RuleTeacher
from astra.testing.rule_teacher.faults import FaultRates
from astra.testing.rule_teacher.several import SeveralTeachers
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.testing.rule_teacher.trajectories.agent import RuleAgent
from astra.testing.rule_teacher.trajectories.catalogue import all_defects
from astra.testing.teacher_faults import FaultPlan, TeacherServerFault
from astra.testing.teacher_server import ServedReasoning, TeacherServer
from astra.types import Json, Language

EXAMPLE = Path("examples/world")
_DEFECTS = tuple(dict.fromkeys([*(defect.value for defect in ArenaDefect), *all_defects()]))
_EPILOG = """examples:
  python -m astra.testing.rule_teacher --port 8010
  python -m astra.testing.rule_teacher --port-file port.txt --faults 0.2 --seed 7
  python -m astra.testing.rule_teacher --port 8010 --wrong all=0.3
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve on the loopback until interrupted. Exits with 2 for impossible options."""
    parser = argparse.ArgumentParser(
        prog="python -m astra.testing.rule_teacher",
        description="Serve the rule teachers as model `rules`, on the loopback, until interrupted.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--tables", type=Path, action="append", help=f"tables it knows; default: {EXAMPLE}")
    add("--port", type=int, default=0, help="0: any free port")
    add("--port-file", type=Path, help="file that gets the port once the server listens")
    add("--faults", type=float, default=0.0, help="share of requests that fail")
    add("--fault-kinds", help=f"default: all of {', '.join(TeacherServerFault)}")
    add("--wrong", default="", help=f"defect=rate,...; all=rate, or of {', '.join(_DEFECTS)}")
    add("--latency", type=float, default=0.0, help="seconds before each answer")
    add("--hold", type=float, default=FaultPlan().hold, help="seconds that slow faults take")
    add("--retry-after", type=float, default=FaultPlan().retry_after, help="seconds, in a 429")
    add("--reasoning", choices=get_args(ServedReasoning), default="none", help="of replies")
    add("--size", type=int, default=200, help="candidate questions per language")
    add("--languages", default="en,zh", help="of the questions")
    add("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        server = _server(options)
    except ConfigError as error:
        parser.error(str(error))
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with server:
        if options.port_file is not None:
            write_file(options.port_file, f"{server.port}\n".encode())
        sys.stderr.write(f"model 'rules' at {server.url}\n")
        sys.stderr.flush()
        stopped.wait()
    return 0


def _server(options: argparse.Namespace) -> TeacherServer:
    if options.tables is None and not EXAMPLE.is_dir():
        raise ConfigError(f"there is no {str(EXAMPLE)!r} here: name tables with --tables")
    languages = tuple(part.strip() for part in options.languages.split(","))
    for name in languages:
        if name not in get_args(Language):
            raise ConfigError(f"--languages {name!r}: choose among {', '.join(get_args(Language))}")
    kinds = options.fault_kinds.split(",") if options.fault_kinds else TeacherServerFault
    try:
        plan = FaultPlan(
            options.faults,
            seed=options.seed,
            kinds=tuple(TeacherServerFault(name.strip()) for name in kinds),
            hold=options.hold,
            retry_after=options.retry_after,
        )
    except ValueError as error:
        raise ConfigError(
            f"--fault-kinds: {error}; choose among {', '.join(TeacherServerFault)}"
        ) from None
    rates = _rates(options.wrong, options.seed)
    tables_teacher = RuleTeacher.of_tables(
        options.tables or [EXAMPLE],
        seed=options.seed,
        size=options.size,
        languages=cast(tuple[Language, ...], languages),
        faults=rates,
    )
    documents_teacher = TrajectoryRules(seed=options.seed, faults=rates)
    of_arenas = {prompt.name for prompt in arenas.ALL}
    teacher = SeveralTeachers(
        "rules",
        {
            prompt.name: tables_teacher if prompt.name in of_arenas else documents_teacher
            for prompt in ALL
        },
    )

    def planted() -> dict[str, Json]:
        defects = [*tables_teacher.planted.values(), *documents_teacher.planted.values()]
        return {"planted": [asdict(defect) for defect in defects]}

    return TeacherServer(
        teacher,
        faults=plan,
        latency=options.latency,
        port=options.port,
        reasoning=options.reasoning,
        extra=planted,
        agent=RuleAgent(),
    )


def _rates(text: str, seed: int) -> FaultRates:
    """From `defect=rate,...`. A defect that both teachers know is planted by both."""
    rates: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, rate = part.strip().partition("=")
        if name not in (*_DEFECTS, "all"):
            raise ConfigError(f"--wrong {name!r}: choose among all, {', '.join(_DEFECTS)}")
        try:
            rates[name] = float(rate)
        except ValueError:
            raise ConfigError(f"--wrong {part!r}: write defect=rate, as in leak=0.1") from None
    overall = rates.pop("all", 0.0)
    return FaultRates(rates, seed=seed, overall=overall)


if __name__ == "__main__":
    sys.exit(main())
