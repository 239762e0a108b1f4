"""An engine over anything that continues token ids, such as vLLM: one call for all that wait.

What keeps keys and values across turns is then the back end's prefix cache. vLLM can't be run
where this package is tested (it needs a GPU and binaries of its own); `vllm_continue` is as thin
as it is for that reason, and everything around it is tested with another back end.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from astra.engines.engine import BatchingEngine, finish
from astra.engines.episode import EngineEpisode
from astra.errors import ConfigError, ModelBadReply
from astra.protocols import Sampling

if TYPE_CHECKING:
    from astra.chat.template import ChatTemplate


class ContinuationRequest(NamedTuple):
    """What to continue, and how far."""

    prompt_ids: list[int]
    sampling: Sampling
    max_tokens: int
    seed: int


class Continuation(NamedTuple):
    """What was sampled, the stop token included."""

    ids: Sequence[int]
    logprobs: Sequence[float]


ContinueFunction = Callable[[Sequence[ContinuationRequest]], Sequence[Continuation]]
"""Continues all of them, in order."""


class PromptEngine(BatchingEngine):
    """Hands whatever waits to a back end, off the event loop's thread."""

    def __init__(
        self,
        back_end: ContinueFunction,
        chat: ChatTemplate,
        *,
        context: int,
        name: str = "policy",
        lockstep: bool = True,
    ) -> None:
        super().__init__(name, chat, context, lockstep=lockstep)
        self._continue = back_end
        self._stops = frozenset(chat.stop_ids)

    async def _serve(self, episodes: list[EngineEpisode]) -> None:
        episodes[:] = self._joining()
        wanted = [_wanted(episode) for episode in episodes]
        continued = await asyncio.to_thread(self._continue, wanted)
        for episode, asked, reply in zip(episodes, wanted, continued, strict=True):
            if len(reply.ids) != len(reply.logprobs) or not reply.ids:
                raise ModelBadReply(
                    f"the back end gave {len(reply.ids)} tokens and {len(reply.logprobs)} "
                    "log-probabilities; expected as many of each, and at least one"
                )
            self.clock.prompt_tokens += len(asked.prompt_ids)
            self.clock.sampled_tokens += len(reply.ids)
            for token, logprob in zip(reply.ids, reply.logprobs, strict=True):
                episode.add(token, logprob, math.nan)
            finish(episode, stopped=reply.ids[-1] in self._stops)
        episodes.clear()


def _wanted(episode: EngineEpisode) -> ContinuationRequest:
    request = cast(Any, episode.request)
    seed = int(episode.uniform() * 2**31)
    return ContinuationRequest(list(episode.ids), request.sampling, request.max_tokens, seed)


def vllm_continue(model: str, stop_ids: Sequence[int], **options: Any) -> ContinueFunction:
    """A back end that runs vLLM in this process; options go to `vllm.LLM`.

    Raises ConfigError where vLLM is not installed.
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

    def continue_(wanted: Sequence[ContinuationRequest]) -> list[Continuation]:
        parameters = [
            vllm.SamplingParams(
                temperature=1.0 if w.sampling.temperature is None else w.sampling.temperature,
                top_p=1.0 if w.sampling.top_p is None else w.sampling.top_p,
                max_tokens=w.max_tokens,
                seed=w.seed,
                stop_token_ids=list(stop_ids),
                logprobs=0,
            )
            for w in wanted
        ]
        prompts = [{"prompt_token_ids": w.prompt_ids} for w in wanted]
        outputs: Any = engine.generate(prompts, parameters, use_tqdm=False)
        return [_continued(output.outputs[0]) for output in outputs]

    return continue_


def _continued(output: Any) -> Continuation:
    ids = list(output.token_ids)
    logprobs = [at[token].logprob for token, at in zip(ids, output.logprobs, strict=True)]
    return Continuation(ids, logprobs)
