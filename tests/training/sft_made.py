"""Rows and a tiny model for tests of SFT, made in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astra.configs.training import TrainSFTConfig
from astra.training.sft.rows import read_rows
from recipes.nano.model import make_nano
from recipes.nano.options import NanoOptions

TINY = NanoOptions(vocabulary=320, width=32, layers=2, heads=2, max_length=512)
CITIES = ("Oslo", "Lima", "Quito", "Dakar", "Perth", "Turin", "Lagos", "Hanoi")


def row(city: str, answer: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city."},
            "attribute": {"type": "string", "enum": ["country", "river"]},
            "year": {"type": "integer"},
        },
        "required": ["city", "attribute"],
    }
    function = {"name": "get_city", "description": "Looks a city up.", "parameters": parameters}
    arguments = {"attribute": "country", "city": city}
    call = {
        "id": "call_0",
        "type": "function",
        "function": {"name": "get_city", "arguments": arguments},
    }
    return {
        "messages": [
            {"role": "system", "content": "Answer with the help of the tools."},
            {"role": "user", "content": f"In which country is {city}?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0", "content": json.dumps({"value": answer})},
            {"role": "assistant", "content": answer},
        ],
        "tools": [{"type": "function", "function": function}],
    }


def write_rows(path: Path, count: int) -> Path:
    lines = [
        json.dumps(row(CITIES[i % 8], CITIES[(3 * i + i // 8) % 8]), ensure_ascii=False)
        for i in range(count)
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def tiny(folder: Path, count: int = 24) -> tuple[Path, Path]:
    """Rows, and a model for them."""
    rows = write_rows(folder / "rows.jsonl", count)
    make_nano(list(read_rows(rows)), folder / "nano", TINY)
    return rows, folder / "nano"


def sft_config(folder: Path, out: str = "sft", **options: Any) -> TrainSFTConfig:
    """Options of a run on `tiny`. One step takes milliseconds; every step is logged."""
    few: dict[str, Any] = {"batch_size": 4, "micro_batch_size": 2, "save_every": 1, "epochs": 2}
    trl = {"logging_steps": 1, **options.pop("trl", {})}
    return TrainSFTConfig(
        model=str(folder / "nano"),
        dataset=folder / "rows.jsonl",
        out=folder / out,
        preset="nano",
        progress=False,
        trl=trl,
        **(few | options),
    )
