"""What a run of the trajectory commands comes to, printed or as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from astra.cli.console import out, plain
from astra.cli.trajectories_teacher import spent
from astra.runs.folder import RunFolder
from astra.runs.stage import StageReport
from astra.trajectories.judge.agreement import agreements, ratings
from astra.trajectories.judge.stage import JUDGEMENTS
from astra.trajectories.play.rollouts import ROLLOUTS
from astra.trajectories.records import Judgement
from astra.trajectories.tasks.pipeline import TASKS
from astra.types import Json


def as_json_report(reports: dict[str, StageReport], folder: RunFolder) -> Json:
    """What `make` reports with --json."""
    agreed = agreements(ratings(folder.rows(JUDGEMENTS, Judgement)))
    return {
        "out": str(folder.path),
        "tasks": reports[TASKS].accepted,
        "rollouts": reports[ROLLOUTS].accepted,
        "judged": reports[JUDGEMENTS].accepted,
        "reward": mean_reward(folder, JUDGEMENTS),
        "agreement": {name: each.model_dump() for name, each in agreed.items()},
        "cost": spent(folder),
        "stages": {
            name: {
                "accepted": report.accepted,
                "rejected": report.rejected,
                "errors": report.errors,
                "resumed": report.resumed,
                "seconds": round(report.seconds, 3),
            }
            for name, report in reports.items()
        },
    }


def mean_reward(folder: RunFolder, name: str) -> float | None:
    """The mean reward of a file of judgements; None: it is empty."""
    rewards = [row.reward for row in folder.rows(name, Judgement)]
    return sum(rewards) / len(rewards) if rewards else None


def print_report(reports: dict[str, StageReport], folder: RunFolder) -> None:
    """What `make` reports to a person."""
    console = out()
    reward = mean_reward(folder, JUDGEMENTS)
    console.print(
        plain(
            f"{reports[JUDGEMENTS].accepted} judged trajectories of {reports[TASKS].accepted} "
            f"tasks in {folder.path}"
            + (f", mean reward {reward:.3f}" if reward is not None else "")
        ),
        soft_wrap=True,
    )
    for name, report in reports.items():
        if report.rejected or report.errors:
            reasons = {**report.rejected, **report.errors}
            listed = ", ".join(f"{number} by {why}" for why, number in sorted(reasons.items()))
            console.print(plain(f"  {name}: set aside {listed}"), soft_wrap=True)
    print_agreement(folder.rows(JUDGEMENTS, Judgement))
    cost = spent(folder)
    if cost["usage"]["prompt_tokens"]:
        console.print(plain(f"  {cost['said']}"))
    for _, row in folder.values(ROLLOUTS):
        console.print(
            plain(
                f"next: astra trajectories show {folder.path} {row['id']}\n"
                f"  or: astra trajectories replay {folder.path}"
            ),
            soft_wrap=True,
        )
        return


def print_agreement(*files: Iterable[Judgement]) -> None:
    """How far judges agree, where there were several."""
    agreed = agreements(ratings(*files))
    if "all" in agreed:
        whole = agreed["all"]
        alpha = "–" if whole.alpha is None else f"{whole.alpha:.3f}"
        out().print(
            f"  judges: {whole.points} points judged several times, mean difference "
            f"{whole.difference:.3f}, Krippendorff's alpha {alpha}"
        )
