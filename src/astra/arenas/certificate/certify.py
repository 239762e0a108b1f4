"""The certificate of an arena: ten checks by execution and comparison, no judge.

What it does not guarantee: that the answers are true of the world, that the question asks what
the goals compute, or that behaviour never differs at inputs that were not tried. Each check's
module says what it leaves open.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence

from astra.arenas.certificate.ablation import check_ablation
from astra.arenas.certificate.context import REPLAYS, ArenaUnderTest, CheckFinding
from astra.arenas.certificate.gold import check_answers, check_gold
from astra.arenas.certificate.grounding import check_grounding
from astra.arenas.certificate.leak import check_leak
from astra.arenas.certificate.mutants import check_mutants
from astra.arenas.certificate.names import check_names
from astra.arenas.certificate.replay import check_order, check_replay
from astra.arenas.certificate.robust import check_robust
from astra.arenas.certificate.schema import check_schema
from astra.protocols import Sandbox
from astra.types import Arena, Certificate, CheckResult, Json, Tool, arena_id

VERSION = "2"
"""Raised whenever a check changes what it accepts."""

Check = Callable[[ArenaUnderTest], dict[str, Json] | Awaitable[dict[str, Json]]]

CHECKS = (
    *("names", "schema", "replay", "order", "gold"),
    *("mutants", "leak", "grounding", "robust", "ablation"),
)
"""Every check's id, in the order of a certificate."""

_RUN: tuple[tuple[str, Check], ...] = (
    # Static ones first: they cost nothing.
    ("names", check_names),
    ("schema", check_schema),
    ("ablation", check_ablation),
    ("gold", check_answers),
    ("leak", check_leak),
    ("replay", check_replay),
    ("grounding", check_grounding),
    ("order", check_order),
    ("gold", check_gold),
    ("mutants", check_mutants),
    ("robust", check_robust),
)


SEES_DISTRACTORS = frozenset({"names", "schema", "mutants", "leak"})
"""Checks whose outcome can depend on distractors."""


async def certify(
    arena: Arena,
    distractors: Sequence[Tool],
    sandbox: Sandbox,
    *,
    seed: int = 0,
    all_checks: bool = False,
    unmixed: Certificate | None = None,
) -> Certificate:
    """Examine an arena with the tools that its distractors name.

    Stops at the first failure unless `all_checks`; without sound `names` and `schema` nothing
    else runs.
    `unmixed`: the certificate of the same arena without distractors, made here with the same seed;
    its findings stand for the checks that see no distractors, and say so in their evidence.
    Raises `SandboxUnavailable` or `SandboxRemote` when our side broke: then there is no
    certificate, neither a good nor a bad one.
    """
    start = time.perf_counter()
    case = ArenaUnderTest(arena, tuple(distractors), sandbox, seed)
    found = _carried(arena, unmixed, seed, sandbox.level)
    carried = frozenset(found) - {"mutants"}
    if "mutants" in found:
        case.carried_mutants = found.pop("mutants").evidence["mutants"]
    async with case.stack:
        for name, check in _RUN:
            if name in carried:
                continue
            result = await _examine(case, name, check)
            if name not in found or found[name].passed:
                found[name] = result
            if not result.passed and (name in ("names", "schema") or not all_checks):
                break
    checks = tuple(found[name] for name in CHECKS if name in found)
    return Certificate(
        arena=arena.id,
        certified=len(checks) == len(CHECKS) and all(check.passed for check in checks),
        checks=checks,
        seeds=(seed, *(seed + number for number in range(1, len(REPLAYS)))),
        sandbox=sandbox.level,
        version=VERSION,
        seconds=time.perf_counter() - start,
    )


def _carried(
    arena: Arena, unmixed: Certificate | None, seed: int, level: str
) -> dict[str, CheckResult]:
    """What an earlier certificate found that distractors can't have changed."""
    if unmixed is None:
        return {}
    bare = arena.model_copy(update={"distractors": ()}).model_dump(mode="json")
    same = (arena_id(bare), True, seed, level, VERSION)
    if same != (
        *(unmixed.arena, unmixed.certified, unmixed.seeds[0]),
        *(unmixed.sandbox, unmixed.version),
    ):
        return {}
    return {
        result.check: result.model_copy(
            update={"evidence": {**result.evidence, "found_for": unmixed.arena}}
        )
        for result in unmixed.checks
        if result.check not in SEES_DISTRACTORS or result.check == "mutants"
    }


async def _examine(case: ArenaUnderTest, name: str, check: Check) -> CheckResult:
    try:
        evidence = check(case)
        if inspect.isawaitable(evidence):
            evidence = await evidence
    except CheckFinding as finding:
        return CheckResult(
            check=name, passed=False, reason=finding.reason, evidence=finding.evidence
        )
    return CheckResult(check=name, passed=True, evidence=evidence)
