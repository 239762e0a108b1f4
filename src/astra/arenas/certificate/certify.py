"""The certificate of an arena: twelve checks by execution and comparison, without a judge.

What it does not guarantee: that the answers are true of the world, that the question asks what
the goals compute, or that behaviour never differs at inputs that were not tried. Each check's
module says what it leaves open.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import NamedTuple

from astra.arenas.certificate.ablation import check_ablation
from astra.arenas.certificate.arena_under_test import HASH_SEEDS, ArenaUnderTest, CheckFinding
from astra.arenas.certificate.general import check_general
from astra.arenas.certificate.gold import check_answers, check_gold
from astra.arenas.certificate.grounding import check_grounding
from astra.arenas.certificate.leak import check_leak
from astra.arenas.certificate.mutants import check_mutants
from astra.arenas.certificate.names import check_names
from astra.arenas.certificate.order import check_order
from astra.arenas.certificate.replay import check_paced, check_replay
from astra.arenas.certificate.robust import check_robust
from astra.arenas.certificate.schema import check_schema
from astra.arenas.certificate.spelling import check_spelling
from astra.arenas.certificate.state.atomic import check_atomic
from astra.arenas.certificate.state.collateral import check_collateral, check_undo
from astra.arenas.certificate.state.conversation import check_ask, check_cannot, check_script
from astra.arenas.certificate.state.outcome import (
    check_already,
    check_necessary,
    check_null,
    check_state,
)
from astra.arenas.certificate.state.policy import check_policy, check_refuse
from astra.arenas.certificate.state.reach import check_reach
from astra.arenas.certificate.state.tools import check_constraints, check_effects, check_unique
from astra.arenas.certificate.state.trials import StateTrials
from astra.arenas.certificates import VERSION, Certificate, CheckResult
from astra.protocols import Sandbox
from astra.types import Arena, ArenaState, Json

Evidence = dict[str, Json]


class StateInputs(NamedTuple):
    """What the checks of a certificate of an arena with a state share."""

    under_test: ArenaUnderTest
    trials: StateTrials


class CheckInputs(NamedTuple):
    """What the checks of one certificate share."""

    under_test: ArenaUnderTest
    outputs: dict[str, Json]
    """What each gold call returned, by goal id: `replay` fills it, later checks read it."""
    own_mutants: Json
    """Evidence of `mutants` from before distractors were added. None if there is none."""


class CheckStep(NamedTuple):
    """A check, or one of its parts."""

    check: str
    turn: int
    """When it runs: free ones first, as most defective arenas then never reach the sandbox, and
    last the one whose pauses pass beside the other checks."""
    run: Callable[[CheckInputs], Evidence | Awaitable[Evidence]]


_STEPS = (
    CheckStep("names", 1, lambda inputs: check_names(inputs.under_test)),
    CheckStep("schema", 2, lambda inputs: check_schema(inputs.under_test)),
    CheckStep("replay", 6, lambda inputs: check_replay(inputs.under_test, inputs.outputs)),
    CheckStep("replay", 14, lambda inputs: check_paced(inputs.under_test, inputs.outputs)),
    CheckStep("order", 8, lambda inputs: check_order(inputs.under_test, inputs.outputs)),
    CheckStep("gold", 4, lambda inputs: check_answers(inputs.under_test)),
    CheckStep("gold", 9, lambda inputs: check_gold(inputs.under_test, inputs.outputs)),
    CheckStep("mutants", 10, lambda inputs: check_mutants(inputs.under_test, inputs.own_mutants)),
    CheckStep("leak", 5, lambda inputs: check_leak(inputs.under_test)),
    CheckStep("grounding", 7, lambda inputs: check_grounding(inputs.under_test, inputs.outputs)),
    CheckStep("robust", 13, lambda inputs: check_robust(inputs.under_test)),
    CheckStep("ablation", 3, lambda inputs: check_ablation(inputs.under_test)),
    CheckStep("general", 11, lambda inputs: check_general(inputs.under_test, inputs.outputs)),
    CheckStep("spelling", 12, lambda inputs: check_spelling(inputs.under_test, inputs.outputs)),
)
"""In the order of a certificate."""

_STATE_STEPS = (
    ("names", lambda inputs: check_names(inputs.under_test)),
    ("schema", lambda inputs: check_schema(inputs.under_test)),
    ("script", lambda inputs: check_script(inputs.trials)),
    ("already", lambda inputs: check_already(inputs.trials)),
    ("policy", lambda inputs: check_policy(inputs.trials, inputs.under_test.rng("policy"))),
    ("state", lambda inputs: check_state(inputs.trials)),
    ("null", lambda inputs: check_null(inputs.trials)),
    ("necessary", lambda inputs: check_necessary(inputs.trials)),
    ("unique", lambda inputs: check_unique(inputs.trials)),
    ("effects", lambda inputs: check_effects(inputs.trials, inputs.under_test.rng("effects"))),
    (
        "collateral",
        lambda inputs: check_collateral(inputs.trials, inputs.under_test.rng("collateral")),
    ),
    ("undo", lambda inputs: check_undo(inputs.trials)),
    ("atomic", lambda inputs: check_atomic(inputs.trials)),
    ("reach", lambda inputs: check_reach(inputs.trials, inputs.under_test.rng("reach"))),
    ("ask", lambda inputs: check_ask(inputs.trials)),
    ("cannot", lambda inputs: check_cannot(inputs.trials)),
    ("refuse", lambda inputs: check_refuse(inputs.trials)),
    (
        "constraints",
        lambda inputs: check_constraints(inputs.trials, inputs.under_test.rng("constraints")),
    ),
)
"""Checks of an arena with a state, in the order in which they run and stand in a certificate."""

CHECKS = tuple(dict.fromkeys(step.check for step in _STEPS))
"""Every check's id, in the order of a certificate."""

SEES_DISTRACTORS = frozenset({"names", "schema", "mutants"})
"""Checks whose outcome can depend on distractors."""

_READS_OWN_PARTS = frozenset({"leak"})
"""Checks that read an arena's own texts and run nothing: they can't find anything else anew."""


async def certify(
    arena: Arena,
    sandbox: Sandbox,
    *,
    seed: int = 0,
    all_checks: bool = False,
    unmixed: Certificate | None = None,
    before_waiting: Callable[[], object] = lambda: None,
) -> Certificate:
    """Examine an arena with its distractors.

    Stops at the first failure unless `all_checks`; if `names` or `schema` fails, nothing else
    runs.
    `unmixed`: the certificate of the same arena without distractors, made with the same seed. Its
    results stand for the checks that see no distractors, and their evidence says so.
    `before_waiting`: called when little but pauses is left, so that another arena can be examined
    meanwhile.
    Raises `SandboxUnavailable` or `SandboxRemote` on an infrastructure failure: then there is no
    certificate, neither a good nor a bad one.
    """
    if arena.state is not None:
        # Nothing is mixed into it: what was examined is this very arena.
        if unmixed is not None and _holds(unmixed, arena.id, seed, sandbox.level):
            return unmixed
        return await _certify_state(arena, arena.state, sandbox, seed, all_checks=all_checks)
    start = time.perf_counter()
    results = _reusable_results(arena, unmixed, seed, sandbox.level)
    own_mutants = results.pop("mutants").evidence["mutants"] if "mutants" in results else None
    reused = frozenset(results)
    async with ArenaUnderTest(arena, sandbox, seed, before_waiting) as under_test:
        inputs = CheckInputs(under_test, {}, own_mutants)
        for name, _, check in sorted(_STEPS, key=attrgetter("turn")):
            if name in reused:
                continue
            result = await _result(name, lambda check=check: check(inputs))
            # `gold` and `replay` have two parts: the second must not hide a failure of the first.
            if name not in results or results[name].passed:
                results[name] = result
            # Without sound names and documents the calls of later checks have no meaning.
            if not result.passed and (name in ("names", "schema") or not all_checks):
                break
    ordered = tuple(results[name] for name in CHECKS if name in results)
    return Certificate(
        arena=arena.id,
        certified=len(ordered) == len(CHECKS) and all(check.passed for check in ordered),
        checks=ordered,
        seeds=tuple(seed + number for number in sorted(set(HASH_SEEDS.values()))),
        sandbox=sandbox.level,
        version=VERSION,
        seconds=time.perf_counter() - start,
    )


async def _certify_state(
    arena: Arena, state: ArenaState, sandbox: Sandbox, seed: int, *, all_checks: bool
) -> Certificate:
    start = time.perf_counter()
    results: list[CheckResult] = []
    async with (
        ArenaUnderTest(arena, sandbox, seed) as under_test,
        StateTrials(arena, state, sandbox, seed) as trials,
    ):
        inputs = StateInputs(under_test, trials)
        for name, check in _STATE_STEPS:
            result = await _result(name, lambda check=check: check(inputs))
            results.append(result)
            if not result.passed and (name in ("names", "schema") or not all_checks):
                break
    return Certificate(
        arena=arena.id,
        certified=len(results) == len(_STATE_STEPS) and all(check.passed for check in results),
        checks=tuple(results),
        seeds=tuple(seed + number for number in sorted(set(HASH_SEEDS.values()))),
        sandbox=sandbox.level,
        version=VERSION,
        seconds=time.perf_counter() - start,
    )


async def _result(name: str, check: Callable[[], Evidence | Awaitable[Evidence]]) -> CheckResult:
    try:
        evidence = check()
        if inspect.isawaitable(evidence):
            evidence = await evidence
    except CheckFinding as finding:
        return CheckResult(
            check=name, passed=False, reason=finding.reason, evidence=finding.evidence
        )
    return CheckResult(check=name, passed=True, evidence=evidence)


def _holds(earlier: Certificate, arena: str, seed: int, level: str) -> bool:
    """Whether a certificate is of that arena. One of another seed, sandbox or version examined
    something else."""
    found = (earlier.arena, earlier.certified, earlier.seeds[0], earlier.sandbox, earlier.version)
    return found == (arena, True, seed, level, VERSION)


def _reusable_results(
    arena: Arena, unmixed: Certificate | None, seed: int, level: str
) -> dict[str, CheckResult]:
    """Results of an earlier certificate that distractors can't have changed, by check."""
    if unmixed is None or not _holds(unmixed, arena.bare_id, seed, level):
        return {}
    # `mutants` runs again for the distractors; what it found for the arena's own tools still holds.
    return {
        result.check: result
        if result.check in _READS_OWN_PARTS
        else result.model_copy(update={"evidence": {**result.evidence, "found_for": unmixed.arena}})
        for result in unmixed.checks
        if result.check not in SEES_DISTRACTORS or result.check == "mutants"
    }
