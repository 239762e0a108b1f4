"""Rules for the prompts of chains."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from astra.errors import TeacherError
from astra.teacher.prompts.chains import (
    JUDGE_CHAIN,
    PROPOSE_CHAINS,
    RECOVER_CHAIN,
    TELL_CHAIN,
    ChainIn,
    ChainVerdict,
    PlannedArgument,
    ProposeChainsIn,
    ProposedChain,
    ProposedChains,
    RecoveredChain,
    RecoveredStep,
    RecoverIn,
    ShownTool,
    ToldChain,
)
from astra.testing.rule_teacher.faults import FLIPPED, Planter
from astra.testing.rule_teacher.trajectories.planning import NoPlan, in_order, links, plan_of
from astra.testing.rule_teacher.trajectories.telling import (
    DIALECTS,
    phrase,
    read_request,
    request_of,
)
from astra.types import Language

LINKED = 0.7
"""Share of steps of a proposed chain that follow from an earlier result, where one can."""


def propose_chains(given: ProposeChainsIn, rng: random.Random) -> ProposedChains:
    """Chains of tools whose results and arguments fit; the rest by chance."""
    if not given.tools:
        raise TeacherError("there are no tools to propose chains of")
    chains: list[list[ShownTool]] = []
    for _ in range(given.wanted):
        chain = [rng.choice(given.tools)]
        for _ in range(rng.randint(given.shortest, given.longest) - 1):
            free = [tool for tool in given.tools if tool not in chain] or list(given.tools)
            linked = [tool for tool in free if links(chain[-1], tool)]
            chain.append(rng.choice(linked if linked and rng.random() < LINKED else free))
        chains.append(in_order(chain))
    return ProposedChains(
        pairs=tuple(
            ProposedChain(
                task=_summary(chain, given.language), chain=tuple(tool.name for tool in chain)
            )
            for chain in chains
        )
    )


def _summary(chain: Sequence[ShownTool], language: Language) -> str:
    joint = "，然后" if language == "zh" else ", then "
    return joint.join(phrase(tool, language) for tool in chain)


def _tools(given: ChainIn) -> list[ShownTool]:
    known = {tool.name: tool for tool in given.tools}
    return [known[name] for name in given.chain if name in known]


def tell_chain(given: ChainIn, rng: random.Random) -> ToldChain:
    """A request for the chain, its values drawn."""
    chain = _tools(given)
    try:
        plan = plan_of(chain, rng, given.language, given.state)
    except NoPlan:
        return ToldChain(task="", request="", plan=())
    dialect = rng.randrange(len(DIALECTS[given.language]))
    return ToldChain(
        task=_summary(chain, given.language),
        request=request_of(plan, given.tools, given.language, dialect),
        plan=plan,
    )


def judge_chain(given: ChainIn, rng: random.Random) -> ChainVerdict:
    """Whether there is a plan for the chain in which no call is made twice for nothing."""
    one = tell_chain(given, rng)
    if not one.plan:
        return _against("An argument can neither be stated nor be had from an earlier result.")
    for first, second in zip(one.plan, one.plan[1:], strict=False):
        if first.tool == second.tool and not second.needs:
            return _against(f"{first.tool!r} is called twice in a row, for nothing new")
    return ChainVerdict(
        task=one.task,
        request=one.request,
        plan=one.plan,
        reason="Every argument can be had, and each call adds something.",
        holds=True,
    )


def _against(reason: str) -> ChainVerdict:
    return ChainVerdict(task="", request="", plan=(), reason=reason, holds=False)


def recover_chain(given: RecoverIn, rng: random.Random) -> RecoveredChain:
    """The calls, read back from a request of the rule teacher; none of any other request."""
    del rng
    steps = read_request(given.request, given.tools, given.language)
    return RecoveredChain(
        steps=tuple(RecoveredStep(tool=step.tool, needs=step.needs) for step in steps or ())
    )


# --- wrong on demand -----------------------------------------------------------------------------


def _flipped(given: ChainIn, right: ChainVerdict, rng: random.Random) -> ChainVerdict:
    if right.holds:
        return _against("The chain makes no sense.")
    try:
        plan = plan_of(_tools(given), rng, given.language, given.state)
    except NoPlan:
        plan = ()
    return ChainVerdict(
        task="Do it.", request="Please do it.", plan=plan, reason="It makes sense.", holds=True
    )


def _invented_tool(
    given: ProposeChainsIn, right: ProposedChains, rng: random.Random
) -> ProposedChains:
    """A proposed chain holds a tool that there is not."""
    pairs = list(right.pairs)
    index = rng.randrange(len(pairs))
    chain = (*pairs[index].chain[:-1], "tool_that_is_not_there")
    pairs[index] = pairs[index].model_copy(update={"chain": chain})
    return right.model_copy(update={"pairs": tuple(pairs)})


def _invented_value(given: ChainIn, right: ToldChain, rng: random.Random) -> ToldChain | None:
    """The plan holds a value that the request does not state."""
    del given, rng
    for number, step in enumerate(right.plan):
        for name, argument in step.arguments.items():
            if isinstance(argument.value, str):
                changed = {**step.arguments, name: PlannedArgument(value="made up by nobody")}
                plan = list(right.plan)
                plan[number] = step.model_copy(update={"arguments": changed})
                return right.model_copy(update={"plan": tuple(plan)})
    return None


def _lost_step(given: RecoverIn, right: RecoveredChain, rng: random.Random) -> RecoveredChain:
    """A call that the request needs is left out."""
    del given, rng
    return right.model_copy(update={"steps": right.steps[:-1]})


INVENTED_TOOL, INVENTED_VALUE, LOST_STEP = "invented_tool", "invented_value", "lost_step"

RULES = {
    PROPOSE_CHAINS.name: propose_chains,
    JUDGE_CHAIN.name: judge_chain,
    TELL_CHAIN.name: tell_chain,
    RECOVER_CHAIN.name: recover_chain,
}
DEFECTS: Mapping[str, Mapping[str, Planter]] = {
    PROPOSE_CHAINS.name: {INVENTED_TOOL: _invented_tool},
    JUDGE_CHAIN.name: {FLIPPED: _flipped, INVENTED_VALUE: _invented_value},
    TELL_CHAIN.name: {INVENTED_VALUE: _invented_value},
    RECOVER_CHAIN.name: {LOST_STEP: _lost_step},
}
