"""`astra trajectories probe`: how often a simulated user makes mistakes."""

from __future__ import annotations

import asyncio

from rich.table import Column, Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.cli.estimate import print_estimate
from astra.configs.trajectories import ProbeUserConfig
from astra.teacher.opening import RULES

_FAULTS = {
    "invents": "invents a value",
    "reveals_early": "gives the next wish away",
    "contradicts": "contradicts itself",
    "withholds": "does not tell what it is asked for",
}


@command_from(
    ProbeUserConfig,
    examples=[
        "astra trajectories probe --teacher NAME --teacher-url URL --repeats 5",
        "astra trajectories probe --teacher rules",
    ],
)
def command(config: ProbeUserConfig, *, as_json: bool) -> None:
    """Measure how often a simulated user makes mistakes.

    Asks the teacher to speak for users in talks in which a fault would show, in English and
    Chinese, and counts faults by rule. Of the rule teacher, the figure is a rule's.
    """
    # Late: --help needs none of it.
    from astra.trajectories.estimate import estimate_probes
    from astra.trajectories.play.user_probes import probe_configured_user

    if config.dry_run:
        print_estimate(asyncio.run(estimate_probes(config)), as_json=as_json)
        return
    rates = asyncio.run(probe_configured_user(config))
    probes, wrong = (
        sum(getattr(rate, name) for rate in rates.values()) for name in ("probes", "wrong")
    )
    if as_json:
        print_json(
            {
                "teacher": config.teacher,
                "by_rule": config.teacher == RULES and config.teacher_url is None,
                "probes": probes,
                "wrong": wrong,
                "faults": {kind: rate.model_dump() for kind, rate in rates.items()},
            }
        )
        return
    table = Table("fault", "probes", "wrong", Column("for example", overflow="fold"))
    for kind, rate in rates.items():
        example = plain(rate.examples[0], limit=200) if rate.examples else "–"
        table.add_row(_FAULTS[kind], str(rate.probes), str(rate.wrong), example)
    console = out()
    console.print(table)
    console.print(plain(f"{wrong} of {probes} messages of {config.teacher!r} were wrong"))
    if config.teacher == RULES and config.teacher_url is None:
        console.print("these are figures of a rule, which say nothing about a model")
