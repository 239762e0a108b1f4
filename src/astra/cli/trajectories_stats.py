"""`astra trajectories stats`: counts and scores of a run's rollouts, as tables and plots."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, print_json, shares
from astra.configs.trajectories import TrajectoryStatsConfig
from astra.trajectories.statistics import trajectory_statistics
from astra.trajectories.statistics_plots import plot_statistics

_GROUPS = ("languages", "domains", "axes", "hosts", "models", "stop_reasons")


@command_from(
    TrajectoryStatsConfig,
    examples=[
        "astra trajectories stats runs/traj",
        "astra trajectories stats runs/traj --plots plots/",
    ],
)
def command(config: TrajectoryStatsConfig, *, as_json: bool) -> None:
    """Count messages, calls, tools and scores."""
    report = trajectory_statistics(config.run, config.judgements)
    if config.plots is not None:
        plot_statistics(report, Path(config.plots))
    if as_json:
        print_json(report)
        return
    console = out()
    reward = "none" if report["reward"] is None else f"{report['reward']:.3f}"
    console.print(
        f"{report['rows']} rollouts, {report['judged']} judged, mean reward {reward}\n"
        f"per rollout: {report['messages']:.2f} messages, {report['calls']:.2f} calls; "
        f"{report['tools_called']} tools called of {report['tools_shown']} shown, "
        f"{report['servers']} servers"
    )
    table = Table("score", "mean", "rollouts that have it")
    for name, score in report["scores"].items():
        table.add_row(name, f"{score['mean']:.3f}", str(score["count"]))
    if report["scores"]:
        console.print(table)
    for name in _GROUPS:
        console.print(shares(name.replace("_", " "), "rollouts", report[name], report["rows"]))
