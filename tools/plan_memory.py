"""Memory that `astra train plan` predicts beside what steps of training take, on the CPU.

Anonymous memory is sampled while two steps of two micro-batches each run, on sequences of a given
length, after short ones that load what training loads. Linux only.

    python -m tools.plan_memory
    python -m tools.plan_memory --only rl
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.training.plan.memory import BACKWARD, PlanSettings, planned_memory
from astra.training.plan.sizes import layer_bytes, model_sizes

MIB = 2**20
_THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
BASE: dict[str, Any] = {"method": "sft", "length": 1024, "micro": 1, "checkpointing": True}
OFF = BASE | {"checkpointing": False}
CASES: list[dict[str, Any]] = [
    BASE,
    BASE | {"length": 4096},
    BASE | {"micro": 4},
    OFF,
    OFF | {"length": 2048},
    OFF | {"micro": 4},
    OFF | {"precision": "bf16"},
    BASE | {"precision": "bf16"},
    OFF | {"lora": 16},
    BASE | {"method": "rl", "length": 2048, "micro": 2},
    OFF | {"method": "rl", "micro": 2},
]
WIDTH, LAYERS, VOCABULARY = 256, 8, 2048
TILE_TOKENS = 256
"""Tokens of which TRL's loss computes logits at once, made few: what layers take is what counts."""


def make_model(folder: Path) -> None:
    """A model of 7 million parameters, and a tokenizer that nothing is encoded with."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from tests.support.nano_models import byte_pair_tokenizer

    config = Qwen3Config(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        vocab_size=VOCABULARY,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    words = byte_pair_tokenizer(
        ["words"], 300, special=["<|end|>"], eos="<|end|>", pad="<|end|>", template=""
    )
    words.save_pretrained(folder)


def train(folder: Path, out: Path, case: dict[str, Any]) -> None:
    """Two steps of training on sequences of the case's length."""
    common: dict[str, Any] = {
        "model": folder,
        "out": out,
        "micro_batch_size": case["micro"],
        "max_length": case["length"],
        "lora_rank": case.get("lora", 0),
        "precision": case.get("precision", "fp32"),
        "activation_checkpointing": case["checkpointing"],
        "preset": "laptop",
        "progress": False,
    }
    trl = {"use_cpu": True, "max_steps": 2, "save_strategy": "no"}
    if case["method"] == "sft":
        from astra.training.presets.resolve import resolve
        from astra.training.sft import train as sft
        from astra.training.sft.encode import EncodedRow

        config, _ = resolve(
            TrainSFTConfig(**common, dataset="none", batch_size=2 * case["micro"], trl=trl), "sft"
        )
        rows = [EncodedRow(row, row) for row in ids(4 * case["micro"], case["length"])]
        chat: Any = SimpleNamespace(tokenizer=tokenizer(folder))
        sft._trainer(config, sft._trl_config(config, 1), chat, rows, []).train()
        return
    from astra.training.presets.resolve import resolve
    from astra.training.rl import train as rl
    from astra.training.rl.batch import RolloutGroup

    environment: Any = SimpleNamespace(tasks=lambda: ["one"])
    trl["max_steps"] = 2
    config, _ = resolve(
        TrainRLConfig(
            **common,
            arenas=environment,
            batch_size=case["micro"],
            group_size=2,
            max_steps=2,
            max_tokens=16,
            trl={name: value for name, value in trl.items() if name != "max_steps"},
        ),
        "rl",
    )
    chat = SimpleNamespace(tokenizer=tokenizer(folder))
    trainer = rl._trainer(config, rl.trl_config(config, 1), environment, chat, None, [])
    groups = [RolloutGroup(episodes(case["length"]), 0) for _ in range(case["micro"])]
    # Rollouts of given lengths; a prompt that nothing generated from.
    trainer._generate_and_score_completions = lambda inputs: trainer._loss_batch(groups)
    trainer.train()


def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def ids(rows: int, length: int) -> list[list[int]]:
    return torch.randint(2, VOCABULARY, (rows, length)).tolist()


def episodes(length: int) -> tuple[Any, ...]:
    from astra.training.algorithm import SampledEpisode

    prompt = length // 4
    made: list[SampledEpisode] = []
    for reward, row in zip((0.0, 1.0), ids(2, length), strict=True):
        # One is shorter, so that its row is padded.
        own = row[prompt : length - (0 if reward else 16)]
        made.append(
            SampledEpisode(
                task="one",
                prompt_ids=tuple(range(2, 2 + prompt)),
                completion_ids=tuple(own),
                policy_mask=(True,) * len(own),
                logprobs=(-1.0,) * len(own),
                entropies=(1.0,) * len(own),
                steps=(0,) * len(own),
                reward=reward,
                group=0,
            )
        )
    return tuple(made)


def predicted_mib(folder: Path, case: dict[str, Any]) -> float:
    sizes, config = model_sizes(str(folder))
    settings = PlanSettings(
        rl=case["method"] == "rl",
        gpus=1,
        sharded=False,
        vllm=False,
        max_length=case["length"],
        micro_batch_size=case["micro"],
        sequences=2 * case["micro"],
        concurrency=0,
        context_parallel=1,
        lora_rank=case.get("lora", 0),
        bf16=case.get("precision", "fp32") == "bf16",
        checkpointing=case["checkpointing"],
    )
    memory = planned_memory(sizes, settings, layer_bytes(config, settings.dtype))
    # Where no Triton kernel works in place, TRL's loss holds more copies of a tile, in float32.
    head = 6 * TILE_TOKENS * VOCABULARY * 4 + 4 * (settings.tokens + VOCABULARY) * WIDTH
    layer = settings.tokens * layer_bytes(config, settings.dtype)
    copies = 2 * sizes.parameters if settings.dtype == "autocast" else 0
    passes = BACKWARD * layer
    working = max(passes, head)
    if case["checkpointing"]:
        working = max(passes + layer, head, copies)
    # `rollouts`: nothing is generated here.
    return replace(memory, working_set=working, rollouts=0.0).total / MIB


@contextmanager
def sampled_peak() -> Generator[list[float]]:
    """The most anonymous memory within the context beyond that at its start, in MiB, as a list."""
    peak, before, done = [0.0], anonymous_mib(), threading.Event()

    def sample() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], anonymous_mib() - before)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def anonymous_mib() -> float:
    """Not the resident set: pages of files come and go on a busy machine."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(x.split()[1]) for x in lines if x.startswith(("RssAnon", "VmSwap"))) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["sft", "rl"])
    arguments = parser.parse_args()
    if _THRESHOLD not in os.environ:
        # Tensors of their own pages: glibc would keep freed ones of up to 32 MiB in its heap.
        call = [sys.executable, "-m", "tools.plan_memory", *sys.argv[1:]]
        os.execve(sys.executable, call, {**os.environ, _THRESHOLD: "65536"})
    torch.manual_seed(0)
    kernels = importlib.import_module("trl.kernels.chunked_logprob")
    kernels.TOKEN_CHUNK_SIZE = TILE_TOKENS
    importlib.import_module("trl.trainer.utils")._CHUNKED_LOGPROB_CHUNK_SIZE = VOCABULARY
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        make_model(folder / "model")
        sys.stdout.write(
            "| step | sequence | rows | checkpointing | precision | MiB predicted | measured |\n"
            "|---|---|---|---|---|---|---|\n"
        )
        for number, case in enumerate(CASES):
            if arguments.only not in (None, case["method"]):
                continue
            train(folder / "model", folder / f"short-{number}", case | {"length": 32})
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            with sampled_peak() as peak:
                train(folder / "model", folder / f"long-{number}", case)
            gc.collect()
            measured, predicted = peak[0], predicted_mib(folder / "model", case)
            how = case.get("precision", "fp32") + (", LoRA" if case.get("lora") else "")
            sys.stdout.write(
                f"| {case['method']} | {case['length']:,} | {case['micro']} | "
                f"{'on' if case['checkpointing'] else 'off'} | {how} | {predicted:,.0f} | "
                f"{measured:,.0f} ({predicted / measured - 1:+.0%}) |\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
