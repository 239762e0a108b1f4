"""The recipe's sampler on verl's own queue. Run by verl's Python, arguments: the repository, and a
folder for a checkpoint. Prints what was checked.
"""

# pyright: basic, reportMissingImports=false
import sys
from collections.abc import Sequence
from typing import Any

sys.path.insert(0, sys.argv[1])
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import TensorDict

from astra.errors import ConfigError, StageError
from recipes.verl.sampler import FillingBuffer

FAILS = None
"""Of a prompt one of whose episodes fails."""
Rewards = Sequence[float] | None
FLAT, VALID = (0.5, 0.5), (0.0, 1.0)


class Loop:
    """In place of verl's agent loops: plays prompts at once, by a script of rewards."""

    def __init__(self, *script: tuple[str, Rewards]) -> None:
        self.script, self.asked, self.step = list(script), [], 1

    def play(self, prompts: int) -> int:
        self.asked.append(prompts)
        for _ in range(prompts):
            uid, rewards = self.script.pop(0)
            tag = {"is_prompt": True, "status": "running", "global_steps": self.step}
            tq.kv_batch_put(keys=[uid], partition_id="train", tags=[tag])
            # Of a failed group, the episodes that ended are in the queue.
            given = VALID[:1] if rewards is None else rewards
            scores = [torch.tensor([0.0] * (n + 1) + [r]) for n, r in enumerate(given)]
            fields = {"rm_scores": torch.nested.as_nested_tensor(scores, layout=torch.jagged)}
            tq.kv_batch_put(
                keys=[f"{uid}_{n}_0" for n in range(len(given))],
                partition_id="train",
                fields=TensorDict(fields, batch_size=len(given)),
                tags=[{"status": "success", "seq_len": n + 2} for n in range(len(given))],
            )
            status = "failure" if rewards is None else "finished"
            tq.kv_batch_put(keys=[uid], partition_id="train", tags=[{"status": status}])
        return prompts


def buffer(loop: Loop, **options: Any) -> FillingBuffer:
    """As verl's trainer builds it."""
    return FillingBuffer(
        trainer_mode="sync",
        trainer_config=OmegaConf.create({}),
        max_off_policy_threshold=8,
        max_off_policy_strategy="drop",
        sampler_kwargs=OmegaConf.create(options),
        refill_fn=loop.play,
    )


def step(sampler: FillingBuffer, loop: Loop, size: int = 2) -> tuple[list[str], dict[str, Any]]:
    """A step of the trainer: the batch's groups in order, and metrics."""
    loop.asked.clear()
    loop.play(size)
    batch, metrics = sampler.sample(loop.step, "train", size)
    assert all("seq_len" in tag for tag in batch.tags)
    tq.kv_clear(keys=batch.keys, partition_id="train")
    loop.step += 1
    return list(dict.fromkeys(key.split("_")[0] for key in batch.keys)), metrics


def queued() -> set[str]:
    """Groups of which something is in the queue."""
    return {key.split("_")[0] for key in tq.kv_list("train").get("train", {})}


def refused(error: type[Exception], part: str, call: Any) -> None:
    try:
        call()
    except error as found:
        assert part in str(found), found
    else:
        raise AssertionError(f"not refused: {part}")


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
storage = {"total_storage_size": 1000, "num_data_storage_units": 1}
tq.init(OmegaConf.create({"backend": {"SimpleStorage": storage}}))

# Flat groups make room for new ones, and what is left over waits in the queue.
loop = Loop(("a", FLAT), ("b", VALID), ("c", VALID), ("d", VALID))
sampler = buffer(loop)
groups, metrics = step(sampler, loop)
assert groups == ["b", "c"] and loop.asked == [2, 2], (groups, loop.asked)
assert queued() == {"d"}, queued()
assert metrics["filling/rounds"] == 2 and metrics["filling/waiting"] == 1, metrics
assert metrics["filling/valid_share"] == 0.75 and metrics["filling/zero_variance"] == 0

# One that waited comes first; a failed one is replaced by one other.
loop.script = [("e", FLAT), ("f", FLAT), ("g", VALID), ("h", FAILS), ("i", FLAT)]
groups, metrics = step(sampler, loop)
assert groups == ["d", "g"] and loop.asked == [2, 2, 1], (groups, loop.asked)
assert queued() == set(), queued()
assert metrics["filling/age_max"] == 1 and metrics["filling/failed_groups"] == 1, metrics

# When rounds run out, the newest flat groups fill the batch.
sampler = buffer(loop, max_sampling_rounds=2)
loop.script = [("j", FLAT), ("k", FLAT), ("l", VALID), ("m", FLAT)]
groups, metrics = step(sampler, loop)
assert set(groups) == {"l", "m"} and metrics["filling/zero_variance"] == 1, (groups, metrics)
assert queued() == set(), queued()

# Rewards that differ by less than is asked for are flat.
sampler = buffer(loop, min_reward_std=0.1)
loop.script = [("n", (0.5, 0.51)), ("o", VALID), ("p", VALID), ("q", VALID)]
groups, _ = step(sampler, loop)
assert groups == ["o", "p"], groups

# What waits is taken up again from a checkpoint, which also holds what the step trained on.
loop.script = [("used", VALID)]
loop.play(1)
tq.kv_clear(keys=["used"], partition_id="train")
tq.save_checkpoint(sys.argv[2])
tq.kv_clear(keys=list(tq.kv_list("train")["train"]), partition_id="train")
assert queued() == set()
tq.load_checkpoint(sys.argv[2])
assert queued() == {"q", "used"}, queued()
sampler = buffer(loop)
sampler.restore("train", 2)
assert queued() == {"q"}, queued()
loop.script = [("r", FLAT), ("s", VALID)]
groups, metrics = step(sampler, loop)
assert groups == ["q", "s"] and metrics["filling/rounds"] == 1, (groups, metrics)

# Nothing can be played.
loop.script = [(f"t{n}", FAILS) for n in range(4)]
refused(StageError, "groups of episodes failed", lambda: step(sampler, loop))
refused(ConfigError, "did you mean", lambda: buffer(loop, max_sampling_round=2))
refused(ConfigError, "max_sampling_rounds", lambda: buffer(loop, max_sampling_rounds=0))
sys.stdout.write("checked: filling, waiting, failures, checkpoint, refusals\n")
tq.close()
ray.shutdown()
