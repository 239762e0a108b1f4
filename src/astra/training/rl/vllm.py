"""TRL's vLLM, in this process or as a server, as the back end of an engine.

It samples with the trainer's weights of the step and TRL's own sampling options; keys and values
stay in vLLM's prefix cache across turns. It needs a GPU, and could not be run where this package is
tested. In server mode, and with tensor parallelism, TRL gathers the prompts of all processes: then
train with one process, for episodes of several processes don't ask equally often.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from astra.engines.prompts import Continuation, ContinuationRequest, ContinueFunction
from astra.errors import ConfigError


def trl_continue(trainer: Any, stop_ids: Sequence[int]) -> ContinueFunction:
    """Continue prompts with `trainer.vllm_generation`, whose weights are kept in step.

    A message ends at the first of `stop_ids`; vLLM itself stops only at the end of text.
    """
    shared = trainer.vllm_mode == "server" or trainer.args.vllm_tensor_parallel_size > 1
    if shared and trainer.accelerator.num_processes > 1:
        raise ConfigError(
            "vLLM as a server, or in tensor parallel, works with one training process: use "
            "vllm_mode=colocate with vllm_tensor_parallel_size=1, or one process"
        )

    def continue_(wanted: Sequence[ContinuationRequest]) -> list[Continuation]:
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step
        _, ids, logprobs, *_ = trainer.vllm_generation.generate(
            prompts=[w.prompt_ids for w in wanted],
            images=None,
            num_generations=1,
            profiler=nullcontext(),
        )
        rows = zip(ids, logprobs, wanted, strict=True)
        return [_cut(row, told, asked.max_tokens, stop_ids) for row, told, asked in rows]

    return continue_


def _cut(
    ids: Sequence[int], logprobs: Sequence[Any], most: int, stop_ids: Sequence[int]
) -> Continuation:
    ended = next((place + 1 for place, token in enumerate(ids) if token in stop_ids), most)
    end = min(ended, most)
    return Continuation(ids[:end], [float(at[0]) for at in logprobs[:end]])
