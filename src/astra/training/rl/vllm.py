"""TRL's vLLM, in this process or as a server, as the back end of an engine.

It samples with the trainer's weights of the step and TRL's own sampling options; keys and values
stay in vLLM's prefix cache across turns. vLLM itself could not be run where this package is tested;
its server mode is tested against a stand-in (`astra.testing.vllm_server`). In that mode, and with
tensor parallelism, TRL gathers the prompts of all processes: then train with one process, for
episodes of several processes don't ask equally often.
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

    def continue_(requests: Sequence[ContinuationRequest]) -> list[Continuation]:
        # TRL loads new weights only in its own generation, which these rollouts replace.
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step
        _, ids, logprobs, *_ = trainer.vllm_generation.generate(
            prompts=[request.prompt_ids for request in requests],
            images=None,
            num_generations=1,
            profiler=nullcontext(),
        )
        results: list[Continuation] = []
        for row, of_tokens, request in zip(ids, logprobs, requests, strict=True):
            end = next((i + 1 for i, token in enumerate(row) if token in stop_ids), len(row))
            end = min(end, request.max_tokens)
            results.append(Continuation(row[:end], [float(at[0]) for at in of_tokens[:end]]))
        return results

    return continue_
