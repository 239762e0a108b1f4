"""A local model for loops of one's own: it plays token-exactly and gives log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from astra.engines.episode import ClosingHost, EngineEpisode
from astra.engines.loading import load_engine
from astra.engines.transformers import TransformersEngine
from astra.episodes import Episode, Tokens
from astra.errors import ConfigError
from astra.protocols import Model, Reply, Sampling, ToolHost
from astra.types import Json, Message, ToolSchema


class LocalConversation:
    """One conversation of a local model."""

    def __init__(self, episode: EngineEpisode) -> None:
        self._episode = episode

    def model(self) -> Model:
        return self._episode

    def enclosed(self, host: ToolHost) -> ToolHost:
        """The host, which ends the conversation when the rollout leaves it."""
        return ClosingHost(host, self._episode)

    def tokens(self) -> Tokens:
        """All tokens up to the last one that was sampled."""
        recorded = self._episode.recorded()
        prompt = len(recorded.prompt_ids)
        return Tokens(
            ids=recorded.prompt_ids + recorded.completion_ids,
            policy_mask=(False,) * prompt + recorded.policy_mask,
            logprobs=(0.0,) * prompt + recorded.logprobs,
        )

    def close(self) -> None:
        self._episode.close()


class CachedConversation:
    """A `Model` for one conversation: what was read stays in the engine's cache. Close it.

    One that does not go on by new messages alone (other tools, an earlier message that is shown
    differently) is read anew.
    """

    def __init__(self, engine: TransformersEngine) -> None:
        self._engine = engine
        self._episode: EngineEpisode | None = None
        self._known: tuple[Message, ...] = ()
        self._tools: tuple[ToolSchema, ...] = ()

    @property
    def name(self) -> str:
        return self._engine.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """Write the next message. `sampling.seed` decides this one alone."""
        episode = self._episode
        if episode is None or not self._goes_on(messages, tools):
            self.close()
            episode = self._episode = self._engine.open(0)
            self._tools = tuple(tools)
        if sampling.seed is not None:
            episode.reseed(sampling.seed)
        reply = await episode.generate(messages, tools, sampling)
        self._known = (*messages, reply.message)
        return reply

    def _goes_on(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> bool:
        known = len(self._known)
        new = messages[known:]
        return (
            bool(new)
            and all(message.role != "assistant" for message in new)
            and tuple(tools) == self._tools
            and tuple(messages[:known]) == self._known
        )

    def close(self) -> None:
        if self._episode is not None:
            self._episode.close()
            self._episode = None


class LocalModel:
    """A Hugging Face model on this machine that samples token-exactly.

    What it writes is never encoded again: `Episode.tokens` are the tokens that were sampled.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        max_length: int | None = None,
        device: str | None = None,
        deterministic: bool = True,
        template_args: Mapping[str, Json] | None = None,
    ) -> None:
        """`model`: a folder or a Hugging Face id. `max_length`: of a conversation, in tokens.

        `deterministic`: the same seeds give the same episodes; False is faster. `device` None: a
        GPU if there is one. `template_args`: arguments of its chat template; those that a trained
        model's folder names need not be given. Raises ConfigError for a model that cannot be
        loaded, and for arguments that its template does not have.
        """
        self.name = str(model)
        self._engine = load_engine(
            str(model),
            max_length=max_length,
            device=device,
            deterministic=deterministic,
            template_args=template_args,
        )
        self.module: nn.Module = self._engine.model
        """The torch module, for your optimizer."""
        self._conversations = 0

    def converse(self, seed: int) -> LocalConversation:
        """Begin a conversation, whose sampling the seed decides."""
        return LocalConversation(self._engine.open(seed))

    def cached(self) -> CachedConversation:
        """Begin a conversation that may also be told anew, as benchmarks do."""
        return CachedConversation(self._engine)

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """Write one message, in a conversation of its own. `sampling.seed` None: a new one."""
        self._conversations += 1
        seed = self._conversations if sampling.seed is None else sampling.seed
        conversation = self._engine.open(seed)
        try:
            return await conversation.generate(messages, tools, sampling)
        finally:
            conversation.close()

    def logprobs(self, episode: Episode, *, temperature: float = 1.0) -> Tensor:
        """Log-probabilities_T of the T tokens that the model wrote, with gradient.

        `temperature`: under which they count; that of sampling makes them comparable with
        `episode.tokens.logprobs`. Raises ConfigError for an episode without tokens.
        """
        tokens = episode.tokens
        if tokens is None or not any(tokens.policy_mask):
            raise ConfigError(
                f"the episode of {episode.trajectory.task!r} has no tokens of a local model: play "
                "it with a LocalModel"
            )
        self._engine.free_cache()
        module: Any = self.module
        ids_1L = torch.tensor([tokens.ids], device=module.device)
        positions_T = torch.tensor(tokens.policy_mask, device=module.device).nonzero()[:, 0]
        # Logits at a position are those of the next token.
        logits_TV = module(
            input_ids=ids_1L, logits_to_keep=positions_T - 1, use_cache=False
        ).logits[0]
        logprobs_TV = torch.log_softmax(logits_TV.float() / temperature, dim=-1)
        return logprobs_TV.gather(-1, ids_1L[0, positions_T, None])[:, 0]
