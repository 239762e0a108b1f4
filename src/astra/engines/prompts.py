"""An engine over anything that continues token ids, such as vLLM: one call for all that wait.

Keys and values are kept across turns by the back end's prefix cache. vLLM needs a GPU, which the
tests do not have: `vllm_continue` is therefore thin, and everything around it is tested with
another back end.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from astra.chat.template import ChatTemplate
from astra.engines.engine import BatchingEngine, finish
from astra.engines.episode import EngineEpisode
from astra.errors import ConfigError, ModelBadReply
from astra.protocols import Sampling


class ContinuationRequest(NamedTuple):
    """Token ids to continue, and how far."""

    prompt_ids: list[int]
    sampling: Sampling
    max_tokens: int
    seed: int


class Continuation(NamedTuple):
    """Sampled tokens, the stop token included."""

    ids: Sequence[int]
    logprobs: Sequence[float]


ContinueFunction = Callable[[Sequence[ContinuationRequest]], Sequence[Continuation]]
"""Continues several requests; the results are in their order."""


class PromptEngine(BatchingEngine):
    """Sends all waiting requests to a back end, off the event loop's thread."""

    def __init__(
        self,
        back_end: ContinueFunction,
        chat: ChatTemplate,
        *,
        max_length: int,
        name: str = "policy",
        deterministic: bool = True,
    ) -> None:
        super().__init__(name, chat, max_length, deterministic=deterministic)
        self._continue = back_end
        self._stops = frozenset(chat.stop_ids)

    async def _serve(self, episodes: list[EngineEpisode]) -> None:
        episodes[:] = self._take_waiting()
        requests: list[ContinuationRequest] = []
        for episode in episodes:
            request = cast(Any, episode.request)
            seed = int(episode.uniform() * 2**31)
            requests.append(
                ContinuationRequest(list(episode.ids), request.sampling, request.max_tokens, seed)
            )
        replies = await asyncio.to_thread(self._continue, requests)
        for episode, request, reply in zip(episodes, requests, replies, strict=True):
            if len(reply.ids) != len(reply.logprobs) or not reply.ids:
                raise ModelBadReply(
                    f"the back end gave {len(reply.ids)} tokens and {len(reply.logprobs)} "
                    "log-probabilities; expected as many of each, and at least one"
                )
            self.timings.prompt_tokens += len(request.prompt_ids)
            self.timings.sampled_tokens += len(reply.ids)
            for token, logprob in zip(reply.ids, reply.logprobs, strict=True):
                episode.add(token, logprob, math.nan)
            finish(episode, stopped=reply.ids[-1] in self._stops)
        episodes.clear()


def vllm_continue(model: str, stop_ids: Sequence[int], **options: Any) -> ContinueFunction:
    """A back end that runs vLLM in this process. `options` go to `vllm.LLM`.

    Raises ConfigError if vLLM is not installed.
    """
    try:
        import vllm  # pyright: ignore[reportMissingImports] - optional, and not on every machine
    except ImportError as error:
        raise ConfigError("vLLM is not installed: pip install vllm, on a machine with a GPU") from (
            error
        )
    engine: Any = vllm.LLM(
        model, enable_prefix_caching=True, logprobs_mode="processed_logprobs", **options
    )

    def continue_(requests: Sequence[ContinuationRequest]) -> list[Continuation]:
        parameters = [
            vllm.SamplingParams(
                temperature=1.0 if r.sampling.temperature is None else r.sampling.temperature,
                top_p=1.0 if r.sampling.top_p is None else r.sampling.top_p,
                max_tokens=r.max_tokens,
                seed=r.seed,
                stop_token_ids=list(stop_ids),
                logprobs=0,  # 0 beside the sampled token: its own only
            )
            for r in requests
        ]
        prompts = [{"prompt_token_ids": r.prompt_ids} for r in requests]
        outputs: Any = engine.generate(prompts, parameters, use_tqdm=False)
        continuations: list[Continuation] = []
        for output in (output.outputs[0] for output in outputs):
            ids = list(output.token_ids)
            logprobs = [at[token].logprob for token, at in zip(ids, output.logprobs, strict=True)]
            continuations.append(Continuation(ids, logprobs))
        return continuations

    return continue_
