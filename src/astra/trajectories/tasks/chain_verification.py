"""Stage `chains`: walks that pass every check.

A walk is rejected by `dependencies` (an argument that can't be had; no teacher is asked), `votes`
(no strict majority of verdicts) or `back_translation` (the request that describes it does not lead
back to it). A verdict in favour counts only with a plan that passes the rules of `plans`.

What this does not guarantee: that a chain is useful. Teachers judge that, and can be wrong.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.errors import Rejected
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.chains import (
    JUDGE_CHAIN,
    RECOVER_CHAIN,
    TELL_CHAIN,
    ChainIn,
    ChainVerdict,
    RecoverIn,
    ToldChain,
)
from astra.trajectories.records import PlannedCall
from astra.trajectories.tasks.chain_proposals import CandidateChain
from astra.trajectories.tasks.dependencies import supplies
from astra.trajectories.tasks.plans import planned_calls, request_problem, same_calls
from astra.trajectories.tasks.records import VerifiedChain

CHAINS = "chains"
VOTES = "votes"
BACK_TRANSLATION = "back_translation"


class ChainRequest(NamedTuple):
    """A task and request for a chain, with a plan that passes the rules."""

    told: ToldChain
    plan: tuple[PlannedCall, ...]


def chains_stage(
    teacher: Teacher, config: MakeTrajectoriesConfig
) -> Stage[CandidateChain, VerifiedChain]:
    """Walks to verified chains."""

    async def work(candidate: CandidateChain) -> VerifiedChain:
        group = candidate.group
        # First, since it asks no teacher.
        supplies([group.tools[name] for name in candidate.tools], group.fields)
        return await verify_chain(candidate, teacher, config)

    return Stage(CHAINS, work, stored_key=lambda row: row["id"])


async def verify_chain(
    candidate: CandidateChain, teacher: Teacher, config: MakeTrajectoriesConfig
) -> VerifiedChain:
    """The chain with its task, if a strict majority is for it. Raises Rejected."""
    verifier = _Verifier(candidate, teacher, config)
    votes: list[bool] = []
    agreements: list[bool] = []
    requests: list[ChainRequest] = []
    if config.chain_check in ("vote", "both"):
        votes, request = await verifier.majority(VOTES, verifier.vote)
        requests.append(request)
    if config.chain_check in ("back_translation", "both"):
        agreements, request = await verifier.majority(BACK_TRANSLATION, verifier.back_translation)
        requests.append(request)
    told, plan = requests[0]
    return VerifiedChain(
        id=candidate.key,
        servers=candidate.group.ids,
        tools=candidate.tools,
        language=candidate.group.language,
        task=told.task,
        request=told.request,
        plan=plan,
        votes=tuple(votes),
        agreements=tuple(agreements),
    )


class _Verifier:
    """The two operators of the paper on one candidate."""

    def __init__(
        self, candidate: CandidateChain, teacher: Teacher, config: MakeTrajectoriesConfig
    ) -> None:
        self._candidate = candidate
        self._group = candidate.group
        self._teacher = teacher
        self._config = config
        self._problem = ""
        """Why the last vote was against the chain."""
        self._question = ChainIn(
            language=candidate.group.language,
            service=candidate.group.service,
            tools=candidate.group.shown_tools(candidate.tools),
            chain=candidate.tools,
            state=candidate.group.state,
        )

    async def majority(
        self, check: str, vote: Callable[[int], Awaitable[ChainRequest | None]]
    ) -> tuple[list[bool], ChainRequest]:
        """Vote until the outcome is decided; return the votes and the first request in favour."""
        total = self._config.chain_votes
        votes: list[bool] = []
        first: ChainRequest | None = None
        for index in range(total):
            request = await vote(index)
            votes.append(request is not None)
            first = first or request
            left = total - len(votes)
            # Decided either way: further votes would be paid for nothing.
            if 2 * sum(votes) > total or 2 * (sum(votes) + left) <= total:
                break
        if first is None or 2 * sum(votes) <= total:
            raise Rejected(
                check,
                f"{sum(votes)} of {len(votes)} for {' → '.join(self._candidate.tools)}; the last "
                f"against it: {self._problem}",
            )
        return votes, first

    async def vote(self, index: int) -> ChainRequest | None:
        """An independent verdict. None: against the chain."""
        verdict = await self._teacher.ask(JUDGE_CHAIN, self._question, index=index)
        return self._checked(verdict)

    async def back_translation(self, index: int) -> ChainRequest | None:
        """The chain as a request, and recovered from it. None: another chain came back."""
        told = await self._teacher.ask(TELL_CHAIN, self._question, index=index)
        request = self._checked(told)
        if request is None:
            return None
        rng = random.Random(f"{self._config.seed}:{self._candidate.key}")
        question = RecoverIn(
            language=self._group.language,
            service=self._group.service,
            tools=self._group.sample_tools(rng, required=self._candidate.tools),
            request=told.request,
        )
        steps = (await self._teacher.ask(RECOVER_CHAIN, question, index=index)).steps
        if any(not 1 <= need <= number for number, step in enumerate(steps) for need in step.needs):
            self._problem = "a recovered step needs one that does not come before it"
            return None
        order = {call.id: position for position, call in enumerate(request.plan)}
        if same_calls(
            [[order[need] for need in call.depends_on] for call in request.plan],
            self._candidate.tools,
            [[need - 1 for need in step.needs] for step in steps],
            [step.tool for step in steps],
        ):
            return request
        recovered = " → ".join(step.tool for step in steps)
        self._problem = f"the request led to {recovered[:300] or 'nothing'}"
        return None

    def _checked(self, told: ToldChain) -> ChainRequest | None:
        """The request with its plan, if the teacher is in favour and the plan passes the rules."""
        if isinstance(told, ChainVerdict) and not told.holds:
            self._problem = told.reason
            return None
        self._problem = request_problem(told.request, self._group.language)
        if not self._problem and tuple(step.tool for step in told.plan) != self._candidate.tools:
            self._problem = "the plan is not of the tools of the chain"
        if self._problem:
            return None
        try:
            plan = planned_calls(told.plan, told.request, self._group.tools, self._group.fields)
        except ValueError as error:
            self._problem = str(error)
            return None
        return ChainRequest(told, plan)
