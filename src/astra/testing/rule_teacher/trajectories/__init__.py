"""The rule teacher of trajectory synthesis: answers from tool documents alone, without a model.

It is for trying out and testing. It makes no training data worth having: its requests are stiff,
and its judgements see what rules can see.
"""

from astra.testing.rule_teacher.trajectories.teacher import TrajectoryRules

__all__ = ["TrajectoryRules"]
