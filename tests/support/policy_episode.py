"""A reference policy where training expects an episode of an engine."""

from __future__ import annotations

from types import SimpleNamespace

from astra.engines.engine import EngineTimings
from astra.protocols import Model


class PolicyEpisode:
    """Plays as the policy does, and keeps no tokens."""

    def __init__(self, model: Model) -> None:
        self.generate = model.generate
        self.engine = SimpleNamespace(timings=EngineTimings())

    def close(self) -> None:
        pass
