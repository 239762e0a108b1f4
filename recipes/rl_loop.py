"""RL on arenas as one bare loop: arenas, policy, groups, rewards, advantages, update.

Read it in one sitting, then change it. It is GRPO (arXiv 2402.03300) without a reference model and
with one on-policy update per step, so that the ratio of the clipped objective is 1 and drops out.
`astra train rl` adds what this leaves out: batching of forward passes, filling of batches, credit
per step, checkpoints, several processes.

    python -m recipes.rl_loop runs/world runs/sft/final runs/rl-loop
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import cast

import torch
from transformers import AutoTokenizer, PreTrainedModel

import astra

STEPS = 100
BATCH_SIZE = 16
"""Arenas per step."""
GROUP_SIZE = 8
"""Episodes per arena. Each is compared with the mean of its group."""
LEARNING_RATE = 1e-6
MAX_TURNS = 8
"""Assistant messages of an episode."""
MAX_TOKENS = 512
"""Tokens of an assistant message."""
MAX_LENGTH = 8192
"""Tokens of an episode: prompt, messages and tool results."""


def train(
    arenas: astra.ArenaSet,
    model: astra.LocalModel,
    *,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    group_size: int = GROUP_SIZE,
    learning_rate: float = LEARNING_RATE,
    max_turns: int = MAX_TURNS,
    max_tokens: int = MAX_TOKENS,
    log: Callable[[dict[str, float]], None] = print,
) -> None:
    """Train the model in place on the arenas of split `train`."""
    train_arenas = arenas.split("train")
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=learning_rate, weight_decay=0.0)
    for step in range(steps):
        # 1. Play: every arena of the batch, a group of episodes each. The host runs the tools in a
        #    sandbox; the reward is the F1 of the solved goals, computed by rule from the calls.
        batch = train_arenas.sample(min(batch_size, len(train_arenas)), seed=step)
        groups = list(
            astra.rollout_groups(
                batch,
                model,
                group_size=group_size,
                max_turns=max_turns,
                max_tokens=max_tokens,
                temperature=1.0,
                seed=step,
            )
        )

        # 2. Advantages: how much better an episode is than its group. Groups in which all rewards
        #    are equal say nothing and are left out.
        rated: list[tuple[astra.Episode, float]] = []
        for group in groups:
            rewards = torch.tensor([episode.reward for episode in group])
            if rewards.std() > 0:
                advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
                rated += zip(group, advantages.tolist(), strict=True)

        # 3. Update: raise the probability of the tokens of good episodes, lower that of bad ones.
        #    Only tokens that the policy wrote count; prompts and tool results do not. All tokens of
        #    the batch weigh the same (DAPO), so that long episodes are not favored.
        tokens = sum(sum(policy_tokens(episode)) for episode, _ in rated)
        for episode, advantage in rated:
            loss = -advantage * model.logprobs(episode).sum() / tokens
            loss.backward()  # frees the graph: one episode in memory at a time
        torch.nn.utils.clip_grad_norm_(model.module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

        played = [episode for group in groups for episode in group]
        log(
            {
                "step": step,
                "reward": sum(episode.reward for episode in played) / max(1, len(played)),
                "turns": sum(episode.trajectory.turns for episode in played) / max(1, len(played)),
                "rated": len(rated) / max(1, len(played)),
            }
        )


def policy_tokens(episode: astra.Episode) -> list[bool]:
    """Which tokens of the episode the policy wrote."""
    assert episode.tokens is not None  # a LocalModel records them
    return list(episode.tokens.policy_mask)


def main() -> None:
    arenas, folder, out = sys.argv[1:]
    model = astra.LocalModel(folder, max_length=MAX_LENGTH)
    train(astra.load_arenas(arenas), model)
    # `module` is typed as any torch module; a Hugging Face model can save itself.
    cast(PreTrainedModel, model.module).save_pretrained(out)
    AutoTokenizer.from_pretrained(folder).save_pretrained(out)


if __name__ == "__main__":
    main()
