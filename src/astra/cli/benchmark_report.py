"""How runs of benchmarks start from the command line, and how their reports are printed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from rich.table import Table

from astra.cli.console import counting, out, plain, print_json
from astra.cli.evaluation_report import figure
from astra.configs.benchmarks import BenchmarkConfig, EnvironmentsConfig
from astra.core.intervals import Interval
from astra.evaluation.benchmarks.environments import Benchmark
from astra.evaluation.benchmarks.records import BenchmarkSummary
from astra.evaluation.benchmarks.report import BenchmarkComparison, BenchmarkDifference
from astra.evaluation.benchmarks.run import Outcome, estimate, run_benchmark
from astra.runs.jsonl import FailureRow
from astra.teacher.cost import Price
from astra.teacher.opening import model_price
from astra.types import Usage


def environments_folder(config: EnvironmentsConfig) -> Path:
    """Where the environments of benchmarks are."""
    if config.environments is not None:
        return Path(config.environments)
    named = os.environ.get("ASTRA_BENCHMARKS")
    return Path(named) if named else Path.home() / ".cache" / "astra" / "benchmarks"


def evaluate_by(benchmark: Benchmark, config: BenchmarkConfig, *, as_json: bool) -> int:
    """Run a benchmark and print its report. The exit status: 1 if an episode has no score."""
    environments = environments_folder(config)
    price = _price(config, config.model)
    user_price = _price(config, getattr(config, "user_model", None))
    if config.dry_run:
        expected = asyncio.run(estimate(benchmark, config, environments))
        tokens = Usage(
            prompt_tokens=expected.prompt_tokens, completion_tokens=expected.completion_tokens
        )
        money = None if price is None else price.of(tokens)
        if as_json:
            print_json({**expected._asdict(), "money": money})
        else:
            out().print(
                f"{expected.tasks} tasks, {expected.episodes} episodes; solved in the shortest way "
                f"they take {expected.requests} requests, about {expected.prompt_tokens:,} tokens "
                f"of prompts and {expected.completion_tokens:,} written, money {_money(money)}. "
                "Nothing was asked."
            )
        return 0
    failed = 0
    with counting("episodes", shown=config.progress is not False) as show:

        def count(outcome: Outcome, total: int) -> None:
            nonlocal failed
            failed += isinstance(outcome, FailureRow)
            show(total, failed)

        folder, summary = asyncio.run(
            run_benchmark(benchmark, config, environments, on_episode=count)
        )
    money = None if price is None else price.of(summary.usage)
    if money is not None and summary.user_usage != Usage():
        # Without a price of the user's model the sum is unknown.
        money = None if user_price is None else money + user_price.of(summary.user_usage)
    if as_json:
        print_json({**summary.model_dump(mode="json"), "money": money})
    else:
        print_benchmark(summary, folder.path if config.out is not None else None, money)
    return 1 if summary.infrastructure_failures or summary.score is None else 0


def _price(config: BenchmarkConfig, model: object) -> Price | None:
    """The price of a model. None: there are no prices, or the model has no name."""
    if config.prices is None or not isinstance(model, str):
        return None
    return model_price(config.prices, model)


def _money(money: float | None) -> str:
    return "unknown (no --prices)" if money is None else f"{money:.4f}"


def print_benchmark(
    summary: BenchmarkSummary, path: Path | None, money: float | None = None
) -> None:
    """A summary as tables and sentences.

    `path`: its run folder, if it is kept. `money`: what its tokens cost, if prices are known.
    """
    console = out()
    if summary.score is None:
        console.print("No episode could be scored.")
    else:
        console.print(f"{summary.benchmark}: {_interval(summary.score)}")
        table = Table("", "tasks", "score", "95 % interval", *_ks(summary.pass_k))
        for name, category in summary.categories.items():
            score = category.score
            table.add_row(
                name,
                str(category.tasks),
                *(figure(score.mean), f"{figure(score.low)} to {figure(score.high)}"),
                *(figure(category.pass_k[k]) for k in summary.pass_k),
            )
        table.add_section()
        score = summary.score
        table.add_row(
            "all",
            str(summary.tasks),
            *(figure(score.mean), f"{figure(score.low)} to {figure(score.high)}"),
            *(figure(value) for value in summary.pass_k.values()),
        )
        console.print(table)
        for name, average in summary.averages.items():
            console.print(f"{name}, averaged as in the benchmark's own tables: {figure(average)}")
        for name, floor in summary.floors.items():
            console.print(f"floor on the same tasks, {name}: {figure(floor)}")
        if summary.over_trials is not None:
            trials = ", ".join(map(figure, summary.by_trial))
            console.print(f"by trial: {trials}; over trials {_interval(summary.over_trials)}")
        errors = ", ".join(f"{count} {name}" for name, count in summary.errors.items())
        console.print(plain(f"{summary.episodes} episodes: {errors}"), soft_wrap=True)
        if summary.cut:
            console.print(
                f"in {summary.cut} episodes a message met a limit of length: --max-tokens, or what "
                "the model can read"
            )
    for who, usage in (("", summary.usage), ("the user's model: ", summary.user_usage)):
        if not who or usage != Usage():
            console.print(
                f"{who}{usage.prompt_tokens:,} tokens of prompts ({usage.cached_tokens:,} cached), "
                f"{usage.completion_tokens:,} written"
            )
    console.print(f"money: {_money(money)}")
    if summary.infrastructure_failures:
        console.print(
            f"{summary.infrastructure_failures} episodes broke and are not scored; the same "
            "command plays them again:"
        )
        for message, count in summary.failures.items():
            console.print(plain(f"  {count} × {message}", "red", limit=600), soft_wrap=True)
    if path is not None:
        console.print(plain(f"episodes: {path / 'episodes.jsonl'}"), soft_wrap=True)


def print_comparison(comparison: BenchmarkComparison, names: tuple[str, str], form: str) -> None:
    """A comparison as a table: text, Markdown or LaTeX."""
    ks = sorted(comparison.all.first_pass_k.keys() & comparison.all.second_pass_k.keys(), key=int)
    head = ["", "tasks", *names, "difference", "95 % interval", "better", "worse"]
    head += [f"pass^{k} {which}" for k in ks if k != "1" for which in ("first", "second")]
    rows = [
        [name, *_cells(difference, ks)]
        for name, difference in {**comparison.categories, "all": comparison.all}.items()
    ]
    console = out()
    if form == "text":
        table = Table()
        for title in head:
            table.add_column(plain(title))
        for row in rows:
            table.add_row(*map(plain, row))
        console.print(table)
    elif form == "markdown":
        lines = [head, ["---"] * len(head), *rows]
        for line in lines:
            text = " | ".join(cell.replace("|", "\\|") for cell in line)
            console.print(plain(f"| {text} |"), soft_wrap=True)
    else:
        console.print(plain(_latex(head, rows)), soft_wrap=True)
    left_out = comparison.only_first + comparison.only_second
    if left_out and form == "text":
        console.print(f"{left_out} tasks that only one of them has are left out")


def _cells(difference: BenchmarkDifference, ks: list[str]) -> list[str]:
    interval = difference.difference
    cells = [str(difference.tasks), figure(difference.first), figure(difference.second)]
    cells += [f"{interval.mean:+.3f}", f"{figure(interval.low)} to {figure(interval.high)}"]
    cells += [str(difference.better), str(difference.worse)]
    for k in ks:
        if k != "1":
            cells += [
                figure(difference.first_pass_k.get(k)),
                figure(difference.second_pass_k.get(k)),
            ]
    return cells


def _latex(head: list[str], rows: list[list[str]]) -> str:
    escapes = {c: f"\\{c}" for c in "&%$#_{}"} | {
        "\\": "\\textbackslash{}",
        "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}",
    }
    lines = [
        " & ".join("".join(escapes.get(c, c) for c in cell) for cell in row) + r" \\"
        for row in (head, *rows)
    ]
    columns = "l" + "r" * (len(head) - 1)
    body = "\n".join([lines[0], "\\hline", *lines[1:]])
    return f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"


def _interval(interval: Interval) -> str:
    return (
        f"{figure(interval.mean)}  (95 % interval {figure(interval.low)} to "
        f"{figure(interval.high)})"
    )


def _ks(pass_k: dict[str, float]) -> list[str]:
    return [f"pass^{k}" for k in pass_k]
