"""From tables to a trained model with `import astra` alone, as a script and inside a loop."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest

import astra
from tests.support.nano_models import qwen3
from tests.training import rl_given


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows nothing yet."""
    folder = tmp_path_factory.mktemp("model")
    words = rl_given.tokenizer()
    qwen3(words, width=32, layers=1, heads=2, length=8192).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def table(folder: Path) -> Path:
    """A table of invented towns."""
    rng = random.Random(5)
    starts, ends = "Bel Cor Dun Fal Gar Hol".split(), "ford ham mouth ton wick".split()
    rows = [
        f"{start}{end},{rng.choice(['North', 'South', 'West'])},{rng.randint(900, 99_000)}"
        for start in starts
        for end in ends
    ]
    path = folder / "towns.csv"
    path.write_text("\n".join(["town,region,inhabitants", *rows]) + "\n", "utf-8")
    return path


def arenas_and_rows(folder: Path) -> tuple[astra.ArenaSet, Path]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        arenas = astra.make_arenas(
            table(folder),
            count=8,
            max_hops=2,
            distractors="none",
            out=folder / "world",
            progress=False,
        )
    assert len(arenas) == 8 and astra.certify(arenas[0]).certified
    report = astra.evaluate(arenas, policy="shuffled", split="all", progress=False)
    assert report.f1 is not None and report.f1.mean == pytest.approx(2 / 3)

    arena = arenas[0]
    with astra.ArenaEnvironment(arena) as env:
        env.reset()
        state = env.step({"role": "assistant", "tool_calls": _gold_calls(arena)})
        assert state.reward == 1 and env.step("It is done.").done

    return arenas, arenas.split("train").export(folder / "sft.jsonl", format="sft")


def test_as_a_script(model: Path, tmp_path: Path) -> None:
    folder = tmp_path
    arenas, rows = arenas_and_rows(folder)
    fixed: dict[str, Any] = {
        "progress": False,
        "preset": "laptop",
        "max_length": 4096,
        "lora_rank": 0,
    }
    sft = astra.train_sft(
        model=model,
        dataset=rows,
        out=folder / "sft",
        limit=4,
        batch_size=2,
        micro_batch_size=1,
        epochs=1,
        full_loss_fraction=0,
        **fixed,
    )
    assert (sft.model / "config.json").exists() and sft.steps == 2
    rl_options: dict[str, Any] = fixed | {
        "max_steps": 1,
        "batch_size": 2,
        "group_size": 2,
        "micro_batch_size": 1,
        "max_turns": 2,
        "max_tokens": 8,
        "max_sampling_rounds": 1,
        "distractors": "none",
    }
    rl = astra.train_rl(arenas=arenas, model=sft.model, out=folder / "rl", **rl_options)
    assert (rl.model / "config.json").exists() and rl.steps == 1
    again = astra.train_rl(arenas=arenas, model=sft.model, out=folder / "rl", **rl_options)
    assert again.model == rl.model, "a finished run is returned as it is"


async def test_inside_a_running_loop(tmp_path: Path) -> None:
    """All but the training: that of RL in a loop has its own test."""
    _, rows = arenas_and_rows(tmp_path)
    assert rows.exists()


def _gold_calls(arena: astra.Arena) -> list[dict[str, Any]]:
    calls = [goal.call for goal in arena.goals if goal.call is not None]
    return [
        {
            "id": str(number),
            "type": "function",
            "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
        }
        for number, call in enumerate(calls)
    ]
