"""How an evaluation is counted while it runs, and how its report is printed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table

from astra.cli.console import counting, out, plain
from astra.evaluation.arenas import EvaluationSummary, PlayedEpisode

_GROUPS = (
    ("scenario", "by_scenario"),
    ("level", "by_level"),
    ("hops", "by_hops"),
    ("language", "by_language"),
    ("task", "by_task"),
    ("conversation", "by_conversation"),
)


@contextmanager
def counting_episodes(progress: bool | None) -> Generator[Callable[[PlayedEpisode, int], None]]:
    """A progress bar of episodes: call what is yielded with each, and the number of all."""
    failed = 0
    with counting("episodes", shown=progress is not False) as show:

        def count(episode: PlayedEpisode, total: int) -> None:
            nonlocal failed
            failed += episode.score is None
            show(total, failed)

        yield count


def print_report(report: EvaluationSummary, path: Path | None) -> None:
    """A report as tables and sentences. `path`: its run folder, if it is kept."""
    console = out()
    if report.f1 is None:
        console.print("No episode could be scored.")
    else:
        f1 = report.f1
        console.print(f"F1 {f1.mean:.3f}  (95 % interval {f1.low:.3f} to {f1.high:.3f})")
        table = Table("", "episodes", "F1", "recall", "precision")
        for title, field in _GROUPS:
            for name, group in getattr(report, field).items():
                table.add_row(
                    f"{title} {name}",
                    str(group.episodes),
                    *(figure(v) for v in (group.f1, group.recall, group.precision)),
                )
        table.add_section()
        means = (report.f1.mean, report.recall, report.precision)
        table.add_row("all", str(report.episodes), *(figure(v) for v in means))
        console.print(table)
        if len(report.pass_k) > 1:
            chances = ", ".join(f"k={k}: {figure(value)}" for k, value in report.pass_k.items())
            console.print(f"pass^k (all goals solved in all of k episodes): {chances}")
            chances = ", ".join(f"k={k}: {figure(v)}" for k, v in report.pass_at_k.items())
            console.print(f"pass@k (all goals solved in one of k episodes): {chances}")
            _print_pass_at(report)
            console.print(f"arenas whose episodes all have one reward: {figure(report.flat)}")
        if report.mistakes:
            kinds = ", ".join(
                f"{n} {kind.replace('_', ' ')}" for kind, n in report.mistakes.items()
            )
            console.print(f"first mistakes of the episodes that are not right: {kinds}")
        console.print(
            f"per episode: {figure(report.solved)} goals solved, {figure(report.calls)} calls, "
            f"{figure(report.turns)} turns"
        )
        if report.answer_correct is not None:
            console.print(
                f"final answers right: {figure(report.answer_correct)} of the scored episodes"
            )
        if report.waste is not None:
            console.print(
                f"where tools change a database, per episode: {figure(report.waste)} calls that "
                f"helped nothing, {figure(report.damage)} rows changed that nobody asked for"
            )
    if report.user:
        kinds = ", ".join(
            f"{count} {kind.replace('_', ' ')}" for kind, count in report.user.items()
        )
        console.print(f"messages of the user's model: {kinds}; all but the reworded were replaced")
    stops = ", ".join(f"{count} {name}" for name, count in report.stop_reasons.items())
    console.print(f"{report.arenas} arenas, {report.episodes} episodes; ended by: {stops}")
    if report.infrastructure_failures:
        console.print(
            f"{report.infrastructure_failures} episodes ({report.failure_rate:.1%}) had "
            "infrastructure failures; they are not scored:"
        )
        for message, count in report.errors.items():
            console.print(plain(f"  {count} × {message}", "red", limit=600), soft_wrap=True)
    if path is not None:
        console.print(plain(f"episodes: {path / 'episodes.jsonl'}"), soft_wrap=True)


def _print_pass_at(report: EvaluationSummary) -> None:
    """The same by hops, for one episode and for as many as there are."""
    for hops, group in report.by_hops.items():
        if len(group.pass_at_k) > 1:
            first, *_, last = group.pass_at_k.items()
            parts = (f"k={k}: {figure(value)}" for k, value in (first, last))
            out().print(f"  hops {hops}: {', '.join(parts)}")


def figure(value: float | None) -> str:
    """A mean, or a dash if there is none."""
    return "–" if value is None else f"{value:.3f}"
