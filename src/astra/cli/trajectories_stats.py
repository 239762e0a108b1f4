"""`astra trajectories stats`: counts and scores of a run's rollouts, as tables and plots."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, print_json, shares
from astra.configs.trajectories import TrajectoryStatsConfig
from astra.teacher.opening import RULES
from astra.trajectories.statistics import trajectory_statistics
from astra.trajectories.statistics_plots import plot_statistics

_GROUPS = ("languages", "domains", "axes", "hosts", "models", "judges", "stop_reasons")


@command_from(
    TrajectoryStatsConfig,
    examples=[
        "astra trajectories stats runs/traj",
        "astra trajectories stats runs/traj --plots plots/",
    ],
)
def command(config: TrajectoryStatsConfig, *, as_json: bool) -> None:
    """Count messages, calls, user turns, tools, scores and tokens.

    Scores by user turn are shown where users speak more than once. Tokens are those of the teacher
    and the agent, divided by the judged rollouts.
    """
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
        f"per rollout: {report['messages']:.2f} messages, {report['calls']:.2f} calls, "
        f"{report['user_turns']:.2f} user turns ({report['multi_turn']} rollouts have several); "
        f"{report['tools_called']} tools called of {report['tools_shown']} shown, "
        f"{report['servers']} servers"
    )
    table = Table("score", "mean", "rollouts that have it")
    for name, score in report["scores"].items():
        table.add_row(name, f"{score['mean']:.3f}", str(score["count"]))
    if report["scores"]:
        console.print(table)
    if len(report["turn_scores"]) > 1:
        by_turn = Table("score", *(f"user turn {turn}" for turn in report["turn_scores"]))
        for name in report["scores"]:
            cells = [scores.get(name) for scores in report["turn_scores"].values()]
            means = ["–" if c is None else f"{c['mean']:.3f}, of {c['count']}" for c in cells]
            by_turn.add_row(name, *means)
        console.print(by_turn)
    if RULES in report["judges"]:
        console.print(
            f"{report['judges'][RULES]} of {report['judged']} were judged by rules: such marks are "
            "high, and say that nothing countable is wrong, not that a conversation is good"
        )
    if report["tokens"] is not None:
        tokens = report["tokens"]
        stages = ", ".join(f"{name} {count:.0f}" for name, count in tokens.items() if name != "all")
        console.print(f"tokens per judged trajectory: {tokens['all']:.0f} ({stages})")
    for name in _GROUPS:
        console.print(shares(name.replace("_", " "), "rollouts", report[name], report["rows"]))
