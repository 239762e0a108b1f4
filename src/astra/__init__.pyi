"""The public API, name by name: type checkers read this, and so does `__init__.py`."""

from astra import aio as aio
from astra.api import certify as certify
from astra.api import collect_tools as collect_tools
from astra.api import evaluate as evaluate
from astra.api import make_arenas as make_arenas
from astra.api import make_trajectories as make_trajectories
from astra.api import paraphrase_arenas as paraphrase_arenas
from astra.api import rollout as rollout
from astra.api import rollout_groups as rollout_groups
from astra.api import synthesize_arenas as synthesize_arenas
from astra.api import train_rl as train_rl
from astra.api import train_sft as train_sft
from astra.arenas.certificates import Certificate as Certificate
from astra.arenas.sets import ArenaSet as ArenaSet
from astra.arenas.sets import load_arenas as load_arenas
from astra.engines.local import LocalModel as LocalModel
from astra.episodes import Episode as Episode
from astra.episodes import Score as Score
from astra.errors import AstraError as AstraError
from astra.errors import ConfigError as ConfigError
from astra.evaluation.evaluate import EvaluationReport as EvaluationReport
from astra.evaluation.evaluate import compare as compare
from astra.hosts.functions import FunctionHost as FunctionHost
from astra.models.openai import OpenAIModel as OpenAIModel
from astra.models.policies import policy as _reference_policy
from astra.rewards import score_trajectory as _score
from astra.rollouts.adapters import UserModel as _Model
from astra.rollouts.adapters import UserToolHost as _ToolHost
from astra.rollouts.environment import ArenaEnvironment as ArenaEnvironment
from astra.rollouts.environment import StepResult as StepResult
from astra.training.result import TrainResult as TrainResult
from astra.trajectories.sets import TrajectorySet as TrajectorySet
from astra.trajectories.sets import load_trajectories as load_trajectories
from astra.types import Arena as Arena
from astra.types import Message as Message
from astra.types import Tool as Tool
from astra.types import ToolSchema as ToolSchema
from astra.types import Trajectory as Trajectory
from astra.viewer.serving import view as view

# A name imported under another one is private in a stub.
reference_policy = _reference_policy
score = _score
Model = _Model
ToolHost = _ToolHost
__version__: str
