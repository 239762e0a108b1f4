"""An evaluation whose episodes are played by the user's program, which reaches arenas over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, cast

from astra.arenas.sets import ArenaSet
from astra.configs.evaluation import EvaluateConfig
from astra.evaluation.agents import AgentRules, play_agent
from astra.evaluation.arenas import PlayedEpisode, conversations
from astra.models.keys import api_key, clean_environment
from astra.models.openai import OpenAIModel
from astra.protocols import Model, Sampling
from astra.rewards import load_reward
from astra.rollouts.adapters import AdaptedModel, UserModel
from astra.rollouts.episodes import ConversingModel, PlayedConversation
from astra.rollouts.loop import RolloutLimits
from astra.runs.jsonl import JsonlLog, to_line
from astra.serve.gateway import TELL_TOKENS, OpenModel, TokenTellingModel
from astra.types import Arena


async def by_agent(
    config: EvaluateConfig,
    arenas: ArenaSet,
    sandbox: Any,
    prompt: str | None,
    stack: AsyncExitStack,
    logs: Mapping[str, JsonlLog],
) -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
    """Episodes of the user's program. What else is known of them goes to the logs."""
    command = config.agent
    assert command is not None
    open_model: Callable[[Arena, int], OpenModel] | None = None
    name, seed = "", config.seed
    if config.model is not None:
        model = await _agent_model(config, stack)
        name = str(config.model if isinstance(config.model, str | Path) else config.model.name)

        def for_episode(arena: Arena, sample: int) -> OpenModel:
            def for_conversation(number: int) -> Model | PlayedConversation:
                if isinstance(model, ConversingModel):
                    return conversations(model, seed + number)(arena, sample)
                return model

            return for_conversation

        open_model = for_episode
    rules = AgentRules(
        command=command,
        environment=clean_environment(config.agent_env),
        limits=RolloutLimits(
            turns=config.max_turns,
            episode_tokens=config.max_agent_tokens,
            seconds=config.episode_timeout,
            sampling=Sampling(temperature=config.temperature, max_tokens=config.max_tokens),
        ),
        samples=config.samples,
        seed=seed,
        reward=load_reward(config.reward),
        system_prompt=prompt,
        concurrency=config.concurrency,
        model=name,
        open_model=open_model,
    )

    async def episodes() -> AsyncGenerator[tuple[Arena, PlayedEpisode]]:
        async with aclosing(play_agent(arenas, sandbox, rules)) as runs:
            async for arena, episode in runs:
                logs["agent_runs"].append([to_line(episode.run)])
                logs["conversations"].append([to_line(each) for each in episode.conversations])
                yield arena, episode.played

    return episodes()


async def _agent_model(config: EvaluateConfig, stack: AsyncExitStack) -> Model | ConversingModel:
    """The model behind the gateway."""
    if config.base_url is not None:
        key, name = api_key(config.api_key_env), cast(str, config.model)
        plain, telling = (
            OpenAIModel(name, config.base_url, key, timeout=config.timeout, extra=extra)
            for extra in ({}, TELL_TOKENS)
        )
        await stack.enter_async_context(plain)
        await stack.enter_async_context(telling)
        return TokenTellingModel(telling, plain)
    if isinstance(config.model, str | Path):
        from astra.engines.local import LocalModel  # late: torch

        # Deterministic engines wait for all conversations, and an agent may leave one for ever.
        return LocalModel(
            config.model,
            max_length=config.max_length,
            deterministic=False,
            template_args=config.template_args,
        )
    return AdaptedModel(cast(UserModel, config.model))
