"""`astra evaluate export`: episodes as logs that other programs show."""

from __future__ import annotations

from astra.cli.command import command_from
from astra.cli.console import err, out, plain, print_json
from astra.configs.evaluation import ExportEvaluationConfig
from astra.evaluation.export import export_evaluation


@command_from(
    ExportEvaluationConfig,
    examples=[
        "astra evaluate export runs/eval-rl --out logs/",
        "astra evaluate export runs/eval-rl --format atif --out trajectories/",
    ],
)
def command(config: ExportEvaluationConfig, *, as_json: bool) -> None:
    """Write the episodes of an evaluation for the viewers of other programs.

    What was said, called and returned, the tools that were shown, and the scores. Goals and gold
    calls are not in it.
    """
    written = export_evaluation(config)
    if as_json:
        print_json(
            {
                "out": str(written.path),
                "episodes": written.episodes,
                "without_tools": written.without_tools,
            }
        )
        return
    out().print(plain(f"{written.episodes} episodes in {written.path}"), soft_wrap=True)
    if written.without_tools:
        err().print(
            f"{written.without_tools} without the tools that were shown: their arenas are not "
            "where the evaluation found them",
            soft_wrap=True,
            highlight=False,
        )
