"""Certificates: the stored outcome of every check of an arena, and whether one is good.

Not guaranteed: that a certificate was made by running the checks. Whoever can write a run folder
can write a certificate, too; only `astra arenas certify` examines the arenas themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from astra.types import Json, Record

VERSION = "5"
"""Raised whenever a check changes what it accepts."""
NO_CERTIFICATE = "without a certificate"


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


def defect_of(certificate: Mapping[str, Json]) -> str:
    """Why a stored certificate does not certify its arena, for a sentence. Empty if it does."""
    checks = certificate.get("checks")
    passed = isinstance(checks, list) and all(
        isinstance(check, dict) and check.get("passed") is True for check in checks
    )
    # The list is read as well: one of the two is easily changed by hand.
    if certificate.get("certified") is not True or not checks or not passed:
        return "that failed a check"
    version = certificate.get("version")
    if version != VERSION:
        return f"examined by version {version!r} of the checks, which is {VERSION!r} now"
    return ""
