"""The functions of `astra`: those of `astra.aio`, which wait for the result."""

from __future__ import annotations

from astra import aio
from astra.core.loop import iterated, synchronous

certify = synchronous(aio.certify)
collect_tools = synchronous(aio.collect_tools)
make_trajectories = synchronous(aio.make_trajectories)
rollout = synchronous(aio.rollout)
rollout_groups = iterated(aio.rollout_groups)
