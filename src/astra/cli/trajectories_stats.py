"""`astra trajectories stats`: counts and scores of a run's rollouts, as tables and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.trajectories import TrajectoryStatsConfig
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.trajectories.records import CollectedToolServer, Judgement, RecordedRollout
from astra.trajectories.statistics import TrajectoryTally
from astra.types import Json

_GROUPS = ("languages", "domains", "axes", "hosts", "models", "stop_reasons")
_HISTOGRAMS = (("messages_histogram", "messages"), ("calls_histogram", "calls"))
_MOST_DOMAINS = 30


@command_from(
    TrajectoryStatsConfig,
    examples=[
        "astra trajectories stats runs/traj",
        "astra trajectories stats runs/traj --plots plots/",
    ],
)
def command(config: TrajectoryStatsConfig, *, as_json: bool) -> None:
    """Count messages, calls, tools and scores."""
    folder = RunFolder.open(config.run)
    scores = {row.rollout: row for row in folder.rows(config.judgements, Judgement)}
    tools = folder.config().get("tools")
    domains: dict[str, str] = {}
    if tools is not None and Path(tools).is_dir():
        servers = RunFolder.open(tools).rows("servers", CollectedToolServer)
        domains = {server.id: server.domain for server in servers}
    tally = TrajectoryTally()
    for rollout in folder.rows("rollouts", RecordedRollout):
        domain = domains.get(rollout.task.servers[0], "")
        tally.add(rollout, scores.get(rollout.id), domain)
    if not tally.rows:
        raise ConfigError(
            f"{str(config.run)!r} holds no rollouts: make some (astra trajectories make)"
        )
    report = {**tally.report(), "judged": len(tally.rewards)}
    if config.plots is not None:
        _plot(report, Path(config.plots))
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: dict[str, Json]) -> None:
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
        table = Table(name.replace("_", " "), "rollouts", "share")
        for value, count in report[name].items():
            share = f"{count / report['rows']:.1%}"
            table.add_row(plain(value or "(none)", limit=80), str(count), share)
        console.print(table)


def _plot(report: dict[str, Json], folder: Path) -> None:
    """Histograms of messages and calls, and the domains, as PNG and SVG."""
    try:
        from matplotlib.figure import Figure  # late: an optional package
    except ImportError as error:
        raise ConfigError(
            "--plots needs the package `matplotlib`: pip install 'astra-arenas[train]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    for field, title in _HISTOGRAMS:
        pairs = [(int(key), count) for key, count in report[field].items()]
        _bars(Figure, pairs, f"{title} per rollout", folder / title)
    domains = list(report["domains"].items())[:_MOST_DOMAINS]
    _bars(Figure, [(name or "(none)", n) for name, n in domains], "domain", folder / "domains")


def _bars(figure: Any, pairs: list[tuple[Any, int]], label: str, path: Path) -> None:
    drawn = figure(figsize=(6, 3.5), layout="constrained")
    axes = drawn.subplots()
    names, counts = zip(*pairs, strict=True)
    axes.bar(names, counts)
    axes.set_xlabel(label)
    axes.set_ylabel("rollouts")
    if isinstance(names[0], str):
        axes.tick_params(axis="x", rotation=60)
    for ending in ("png", "svg"):
        drawn.savefig(
            path.with_suffix(f".{ending}"), metadata={"Date": None} if ending == "svg" else None
        )
