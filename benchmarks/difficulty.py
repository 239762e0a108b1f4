"""What levels and dials of difficulty are worth to two agents by rules.

    python -m benchmarks.difficulty RUN [OTHER ...]

RUN is a run folder of English arenas. Its F1 is printed by level; that of each other folder beside
it, with the difference on the arenas that both have (the same question from the same candidate).
No model is played, and no sandbox used: tools are of our own making.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

from astra.arenas.difficulty import level_of
from astra.arenas.sets import ArenaSet
from astra.core.intervals import Interval, bootstrap
from astra.core.json_schema import violation
from astra.hosts.faults import TransientFaults
from astra.rewards import score_calls
from astra.types import Arena, CallRecord, CallStatus, Json
from tests.support.hasty_agent import HastyAgent
from tests.support.honest_agent import HonestAgent
from tests.tables.made import play

AGENTS: dict[str, type[HonestAgent]] = {"honest": HonestAgent, "hasty": HastyAgent}
PairKey = tuple[str, str]


def f1_of(arena: Arena, agent: type[HonestAgent]) -> float:
    """The F1 of an agent that stops where it understands no more."""
    tools = {tool.name: tool for tool in (*arena.tools, *arena.distractors)}
    documents = [tool.document for tool in tools.values()]
    random.Random(arena.id).shuffle(documents)
    faults, calls = TransientFaults(arena), list[CallRecord]()

    def call(name: str, arguments: dict[str, Json]) -> Json:
        if violation(arguments, tools[name].document.parameters) is not None:
            status, result = CallStatus.schema_violation, {"error": {"code": "schema"}}
        elif (fault := faults.strike(name, arguments)) is not None:
            status, result = CallStatus.transient, fault
        else:
            result = play(tools[name], arguments)
            failed = isinstance(result, dict) and "error" in result
            status = CallStatus.tool_error if failed else CallStatus.ok
        number = len(calls)
        calls.append(
            CallRecord(
                id=f"c{number}",
                turn=number,
                tool=name,
                arguments=arguments,
                status=status,
                result=result,
            )
        )
        patient = agent is not HastyAgent
        return call(name, arguments) if status is CallStatus.transient and patient else result

    with suppress(LookupError):
        agent(documents, call).answer(arena.question)
    return score_calls(arena, calls).f1


def scores(run: str, agent: type[HonestAgent]) -> Iterator[tuple[PairKey, int | None, float]]:
    for arena in ArenaSet(run):
        yield (arena.key, arena.question), level_of(arena.provenance), f1_of(arena, agent)


def shown(interval: Interval | None) -> str:
    return (
        "–"
        if interval is None
        else f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}] n={interval.groups}"
    )


def main(runs: list[str]) -> None:
    for name, agent in AGENTS.items():
        base: dict[PairKey, float] = {}
        for run in runs:
            by_level: dict[int | None, list[float]] = defaultdict(list)
            own: dict[PairKey, float] = {}
            for key, level, f1 in scores(run, agent):
                by_level[level].append(f1)
                own[key] = f1
            for level, values in sorted(by_level.items(), key=str):
                interval = bootstrap([[value] for value in values], 0)
                print(f"{name} {run} level {level}: {shown(interval)}")
            base = base or own
            pairs = [[own[key] - base[key]] for key in own.keys() & base.keys()]
            if base is not own:
                print(f"{name} {run} minus {runs[0]}: {shown(bootstrap(sorted(pairs), 0))}")


if __name__ == "__main__":
    main(sys.argv[1:])
