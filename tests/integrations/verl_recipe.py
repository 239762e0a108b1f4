"""The recipe's trainer on a queue in memory. Run by verl's own Python, argument: the repository.

Asserts that what it puts back are the advantages of our own algorithms, with their options, and
that a wrong mask and another agent loop are refused. Prints what was checked.
"""

# pyright: basic, reportMissingImports=false
import json
import sys
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, sys.argv[1])
import torch
from tensordict import NonTensorStack, TensorDict
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from astra.configs.training import CreditConfig
from astra.errors import AstraError
from astra.records import content_hash
from astra.training.rl.algorithms import make_algorithm
from recipes.verl import trainer
from recipes.verl.credit import AdvantageConfig
from tests.training.made import played, scored

EPISODES = [
    played([["a"], ["b"], []], group=0),
    played([["a"], ["x"], []], group=0),
    played([["a", "b", "c"], []], group=1),
    played([["x"], []], group=1),
]


def told(episode: Any) -> str:
    """As the agent loop tells it."""
    calls = episode.trajectory.calls
    return json.dumps(
        {
            "arena": episode.task,
            "steps": episode.steps,
            "turns": episode.trajectory.turns,
            "increments": episode.score.increments,
            "calls": [(c.turn, content_hash([c.tool, c.arguments, c.result])) for c in calls],
        }
    )


def nested(rows: list[Any], kind: torch.dtype) -> torch.Tensor:
    tensors = [torch.tensor(row, dtype=kind) for row in rows]
    return torch.nested.as_nested_tensor(tensors, layout=torch.jagged)


def computed(config: AdvantageConfig, *, wrong: bool = False, other: bool = False) -> Any:
    """Advantages that the trainer puts back for EPISODES and a row of padding."""
    masks = [list(map(int, e.policy_mask)) for e in EPISODES]
    if wrong:
        masks[1][3] = 1  # a token of a tool's result
    rewards = [[0.0] * (len(e.steps) - 1) + [e.reward] for e in EPISODES]
    fields = {
        "uid": NonTensorStack(*[f"u{e.group}" for e in EPISODES], "pad"),
        "response_mask": nested([*masks, [0]], torch.long),
        "rm_scores": nested([*rewards, [0.0]], torch.float),
        "rollout_log_probs": nested([*[e.logprobs for e in EPISODES], [0.0]], torch.float),
        "extra_fields": NonTensorStack(
            *[{} if other else {"astra": told(e)} for e in (*EPISODES, EPISODES[0])]
        ),
    }
    data, put = TensorDict(fields, batch_size=5), {}
    trainer.tq = SimpleNamespace(
        kv_batch_get=lambda **_: data, kv_batch_put=lambda **given: put.update(given)
    )
    # verl's own advantages need its queue; ours replace them.
    PPOTrainerSync._compute_advantage = lambda _, batch, metrics: batch
    own = object.__new__(get_trainer_cls("astra"))
    own.advantages = config

    class Batch(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.keys)

    keys = [*[f"u{e.group}_{n}_0" for n, e in enumerate(EPISODES)], "pad_0_0"]
    tags: list[dict[str, bool]] = [{}] * 4 + [{"is_padding": True}]
    own._compute_advantage(Batch(keys=keys, tags=tags, partition_id="train"), {})
    return put["fields"]["advantages"]


def refused(part: str, **options: bool) -> None:
    try:
        computed(AdvantageConfig(algorithm="gigpo"), **options)
    except AstraError as error:
        assert part in str(error), error
    else:
        raise AssertionError(f"not refused: {part}")


seen = {}
DISCOUNT = CreditConfig(discount=0.5)
for name, options in (
    *((name, CreditConfig()) for name in ("grpo", "gigpo", "hgpo", "graphgpo")),
    ("gigpo", DISCOUNT),
):
    advantages = computed(AdvantageConfig(algorithm=name, credit=options))
    ours = make_algorithm(name, options, seed=0, arenas={})
    wanted = ours.credit(scored(EPISODES), None)  # type: ignore
    for row, episode in enumerate(EPISODES):
        length = len(episode.steps)
        assert torch.equal(advantages[row], wanted.advantages_BT[row, :length]), (name, row)
    assert advantages[4].tolist() == [0.0]
    assert wanted.advantages_BT.abs().sum() > 0
    seen[name, options.discount] = wanted.advantages_BT
assert not torch.equal(seen["grpo", 0.95], seen["gigpo", 0.95])
assert not torch.equal(seen["gigpo", 0.5], seen["gigpo", 0.95])
refused("response_mask", wrong=True)
refused("another agent loop", other=True)
sys.stdout.write("checked: grpo gigpo hgpo graphgpo, refusals\n")
