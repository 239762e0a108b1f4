"""The recipe's settings over verl's own. Run by verl's Python, argument: the repository.

Asserts that each file sets only what verl or we know, that verl's own checks pass, that options of
credit are read, and what is refused. Prints what was checked.
"""

# pyright: basic, reportMissingImports=false
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])
from hydra import compose, initialize_config_dir, initialize_config_module
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.utils.import_utils import load_extern_type

from astra.configs.training import CreditConfig
from astra.errors import ConfigError
from recipes.verl import trainer
from recipes.verl.credit import AdvantageConfig
from recipes.verl.sampler import FillingConfig

FOLDER = Path(sys.argv[1]) / "recipes/verl/configs"
MODELS = ("qwen3_4b", "qwen3_14b")


def known() -> Any:
    """verl's settings with a place for each of ours, closed to all others."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        settings = compose("ppo_trainer")
    with open_dict(settings):
        own: dict[str, Any] = {field.name: None for field in fields(AdvantageConfig)}
        own["credit"] = {field.name: None for field in fields(CreditConfig)}
        settings.trainer.v1.astra = own
        settings.trainer.v1.sampler.sampler_kwargs = {f.name: None for f in fields(FillingConfig)}
    OmegaConf.set_struct(settings, True)
    return settings


def composed(name: str, overrides: Sequence[str] = ()) -> Any:
    """As `python -m verl.trainer.main_ppo --config-dir recipes/verl/configs` does."""
    more = ["hydra.searchpath=[pkg://verl.trainer.config]", "data.train_files=t.parquet"]
    with initialize_config_dir(str(FOLDER), version_base=None):
        return compose(name, overrides=[*more, *overrides])


def refused(part: str, *overrides: str) -> None:
    try:
        get_trainer_cls("astra")(composed("astra", overrides))
    except ConfigError as error:
        assert part in str(error), error
    else:
        raise AssertionError(f"not refused: {overrides}")


# --- every key is known ----------------------------------------------------------------------

strict = known()
paths = sorted(FOLDER.glob("*.yaml"))
assert {path.stem for path in paths} == {"astra", *MODELS}
for path in paths:
    own: Any = OmegaConf.load(path)
    del own["defaults"]
    OmegaConf.merge(strict, own)
    own.trainer.v1_speling = 1
    try:
        OmegaConf.merge(strict, own)
    except ConfigKeyError:
        pass
    else:
        raise AssertionError("an unknown key was merged")

# --- verl takes them -------------------------------------------------------------------------

for name in MODELS:
    settings = composed(name)
    assert not OmegaConf.missing_keys(settings.trainer), OmegaConf.missing_keys(settings.trainer)
    critic, reference = need_critic(settings), need_reference_policy(settings)
    assert not critic and not reference
    validate_config(settings, use_reference_policy=reference, use_critic=critic)
    omega_conf_to_dataclass(settings.actor_rollout_ref.rollout)
    assert trainer.checked(settings) == AdvantageConfig(algorithm="grpo")
    sampler = settings.trainer.v1.sampler
    buffer = load_extern_type(sampler.custom_sampler.path, sampler.custom_sampler.name)
    assert buffer is trainer.FillingBuffer and issubclass(buffer, ReplayBuffer)
    # A row of the greatest length fits in a pass of the GPUs that share it.
    actor, data = settings.actor_rollout_ref.actor, settings.data
    length = data.max_prompt_length + data.max_response_length
    assert length <= actor.ppo_max_token_len_per_gpu * actor.ulysses_sequence_parallel_size
    assert length == settings.actor_rollout_ref.rollout.max_model_len
    assert actor.ppo_mini_batch_size == data.train_batch_size  # on the policy that sampled

# --- ours are read, and refused --------------------------------------------------------------

own = "trainer.v1.astra."
chosen = composed(
    "qwen3_4b", [own + "algorithm=gigpo", f"+{own}credit.discount=0.5", f"+{own}scale=false"]
)
wanted = AdvantageConfig(algorithm="gigpo", credit=CreditConfig(discount=0.5), scale=False)
assert trainer.checked(chosen) == wanted != AdvantageConfig(algorithm="gigpo")
refused("critic.enable", "critic.enable=true")
refused("algorithm.adv_estimator", "critic.enable=null", "algorithm.adv_estimator=gae")
refused("use_kl_in_reward", "algorithm.use_kl_in_reward=true")
refused("rollout_rs", "algorithm.rollout_correction.rollout_rs=token_k1")
refused("data.gen_batch_size", "data.gen_batch_size=null")
refused("log-probabilities", own + "algorithm=igpo")
refused("known here", own + "algorithm=gigop")
refused("did you mean 'discount'", f"+{own}credit.discuont=0.5")
refused("trainer.v1.astra.algorithm", "~trainer.v1.astra")
sys.stdout.write("checked: astra qwen3_14b qwen3_4b, options, refusals\n")
