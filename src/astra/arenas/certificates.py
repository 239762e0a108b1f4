"""Certificates: the stored outcome of every check of an arena."""

from __future__ import annotations

from astra.types import Json, Record


class CheckResult(Record):
    """What one check of the certificate found."""

    check: str
    passed: bool
    reason: str = ""
    """Empty when passed."""
    evidence: dict[str, Json] = {}


class Certificate(Record):
    """A machine-checkable statement that an arena went through every check."""

    arena: str
    """Content hash of the arena."""
    certified: bool
    checks: tuple[CheckResult, ...]
    """In order; stops after the first failure unless all were asked for."""
    seeds: tuple[int, ...]
    sandbox: str
    """Sandbox level the checks ran under."""
    version: str
    seconds: float
