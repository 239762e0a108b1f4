"""Costs of attribution and of the sandbox as shares of a training step, from RL's own metrics.

Two short runs of ACPO from the same taught nano model on the same arenas of seven turns, by
likelihood and by the arena's scores. All figures are ratios within a run.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch

from astra.configs.training import CreditConfig, TrainRLConfig
from astra.training.rl.train import train_rl
from benchmarks.bench_rl import HOPS, MESSAGE_TOKENS, taught_on, toy_arenas
from tests.support.arenas import write_arena_run

GOALS = {"likelihood": 25, "verified": 10}
"""Maximum per cent of a step."""
WAITING = 5
"""Maximum per cent of a step spent waiting for tools in the sandbox."""
STEPS = 4
PROMPTS = GROUP = 4
CONTEXT = 2_048


def measure() -> dict[str, dict[str, object]]:
    """Medians over the steps after the first."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(temporary)
        arenas = toy_arenas()
        trained = [arena.model_copy(update={"split": "train"}) for arena in arenas]
        write_arena_run(folder / "arenas", trained)
        model, tokenizer = taught_on(arenas)
        model.save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")
        runs = {name: _run(folder, name) for name in GOALS}
    return {
        **{
            f"attribution by {name}, share of a training step": _figure(
                _share(rows, "acpo/credit/attribution_seconds"), GOALS[name]
            )
            for name, rows in runs.items()
        },
        "waiting for the sandbox, share of a training step": _figure(
            _share(runs["verified"], "time/idle"), WAITING
        ),
    }


def _figure(share: float, goal: int) -> dict[str, object]:
    return {"value": 100 * share, "goal": f"<= {goal}", "unit": "%", "ok": 100 * share <= goal}


def _run(folder: Path, attribution: str) -> list[dict[str, float]]:
    """The metrics of a run, a row per step."""
    out = folder / attribution
    train_rl(
        TrainRLConfig(
            arenas=folder / "arenas",
            model=str(folder / "model"),
            out=out,
            preset="nano",
            batch_size=PROMPTS,
            group_size=GROUP,
            micro_batch_size=PROMPTS * GROUP,
            max_turns=HOPS + 2,
            max_tokens=MESSAGE_TOKENS,
            max_length=CONTEXT,
            max_steps=STEPS,
            max_sampling_rounds=1,
            algorithm="acpo",
            # Replays made for comparison only are not part of the method.
            credit=CreditConfig(
                attribution=cast(Any, attribution), options={"agreement": False, "log_rollouts": 0}
            ),
            distractors="none",
            progress=False,
        )
    )
    rows: list[dict[str, float]] = [
        json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()
    ]
    if rows[-1]["turns"] < HOPS / 2:
        raise AssertionError(f"{rows[-1]['turns']:.1f} turns an episode: too few to attribute")
    return rows


def _share(rows: list[dict[str, float]], name: str) -> float:
    """Seconds of this metric per second of a step: the median."""
    pairs = pairwise(rows)
    return statistics.median(row[name] / (row["seconds"] - old["seconds"]) for old, row in pairs)
