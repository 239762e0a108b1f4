"""GraphGPO: a step by how near its next state is to the goal, in the graph of the group's states.

Source: "Beyond Trajectory-Level Attribution: Graph-Based Credit Assignment for Agentic
Reinforcement Learning" (arXiv 2605.26684), read in public summaries. *Given*: the rollouts of a
group form one graph, whose nodes are states and whose edges are steps; d(s) is the length of the
shortest path from s to success, and one more than the longest of them where there is no path; a
step to state s' is worth C·γ^d(s'), compared among the steps from the same state; the episode's
advantage is added.
*Ours*: an arena has no success but a reward, so that the goal is where episodes with the group's
best reward end, and C is that reward. A group without any reward has no goal. γ is that of the
other arms (the paper's authors take 0.1; divided by the deviation the scale hardly matters).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from astra.training.algorithm import Credit, PolicyAccess, SampledEpisode, ScoredBatch
from astra.training.credit.anchors import anchor_states, numbered_states_BK
from astra.training.credit.gigpo import state_metrics, step_advantages
from astra.training.credit.steps import pad_BK, step_count
from astra.training.credit.stepwise import StepSettings, episode_and_steps

GOAL = "goal"
"""The node where the best episodes of a group end. No state is named so: they are hashes."""


def graphgpo(batch: ScoredBatch, policy: PolicyAccess, settings: StepSettings) -> Credit:
    """The graph's credit. For single-turn episodes it is GRPO's."""
    del policy
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(batch.group_B.tolist()):
        members[group].append(row)
    worth: list[list[float]] = [[] for _ in batch.episodes]
    reached = 0
    for rows in members.values():
        episodes = [batch.episodes[row] for row in rows]
        best = max(episode.reward for episode in episodes)
        paths = [path(episode, best) for episode in episodes]
        distance = distances(paths) if best > 0 else {}
        reached += bool(distance)
        for row, states in zip(rows, paths, strict=True):
            worth[row] = [
                best * settings.discount ** distance[state] if distance else 0.0
                for state in states[1:]
            ]
    worth_BK = pad_BK(worth, step_count(batch.step_BT), batch.step_BT.device)
    state_BK = numbered_states_BK(batch)
    step_BK = step_advantages(worth_BK, state_BK, scale=settings.scale)
    metrics = {**state_metrics(state_BK), "groups_with_goal": reached / len(members)}
    return episode_and_steps(batch, step_BK, settings, metrics)


def path(episode: SampledEpisode, best: float) -> list[str]:
    """The state before each step, and the one after the last: GOAL if the reward is the best."""
    if episode.trajectory is None:
        return []
    states = anchor_states(episode.trajectory, end=True)
    return [*states[:-1], GOAL] if episode.reward == best else states


def distances(paths: Sequence[Sequence[str]]) -> Mapping[str, int]:
    """Steps from each state to GOAL, on any of the paths together. Empty if none leads there."""
    before: defaultdict[str, list[str]] = defaultdict(list)
    for states in paths:
        for state, following in pairwise(states):
            before[following].append(state)
    found = {GOAL: 0} if GOAL in before else {}
    frontier = list(found)
    while frontier:  # breadth first
        nearer, frontier = frontier, []
        for state in nearer:
            for previous in before[state]:
                if previous not in found:
                    found[previous] = found[state] + 1
                    frontier.append(previous)
    unreachable = max(found.values(), default=0) + 1
    return {state: found.get(state, unreachable) for p in paths for state in p} if found else {}
