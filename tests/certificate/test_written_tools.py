"""Defective arenas as language models write them are refused, kind by kind, and by a check that is
meant for the kind. Good ones that look like them are certified."""

from __future__ import annotations

import asyncio

import pytest

from astra.arenas.certificate import certify
from astra.protocols import Sandbox
from tests.certificate.disguised_answers import DISGUISED_KINDS
from tests.certificate.good_tools import GOOD_KINDS
from tests.certificate.narrow_tools import NARROW_KINDS
from tests.certificate.open_tools import OPEN_KINDS

KINDS = {**NARROW_KINDS, **OPEN_KINDS, **DISGUISED_KINDS}
MEANT = {
    "own entity": {"mutants"},
    "nonsense": {"mutants", "general"},
    "constant": {"mutants", "general"},
    "echo": {"mutants", "general"},
    "guessed": {"gold", "general"},
    "costly": {"replay", "general", "robust"},
    "no effect": {"general"},
    "option": {"general"},
    "wildcard": {"general"},
    "part": {"general", "mutants"},
    "error": {"general", "mutants", "robust"},
    "skipped": {"general"},
    "disguised": {"leak"},
}
STILL_OPEN = {
    ("wildcard", "a range of letters"),
    ("disguised", "Morse code"),
    ("disguised", "numbers in words"),
    ("disguised", "digits in words"),
    ("disguised", "leetspeak"),
    ("disguised", "initials of words"),
}
"""What passes today, as docs/guarantees.md says by kind."""


@pytest.mark.parametrize("kind", KINDS)
async def test_tools_of_a_kind_are_refused(kind: str, sandbox: Sandbox) -> None:
    plants = KINDS[kind]
    certificates = await asyncio.gather(*(certify(plant(), sandbox) for plant in plants.values()))
    failures = {
        name: [result for result in certificate.checks if not result.passed]
        for name, certificate in zip(plants, certificates, strict=True)
    }
    passed = {(kind, name) for name, failed in failures.items() if not failed}
    assert passed == {place for place in STILL_OPEN if place[0] == kind}
    for name, failed in failures.items():
        assert {result.check for result in failed} <= MEANT[kind], (name, failed)


def test_the_set_is_large_enough() -> None:
    assert sum(map(len, KINDS.values())) - len(STILL_OPEN) >= 91


@pytest.mark.parametrize("kind", GOOD_KINDS)
async def test_good_tools_are_certified(kind: str, sandbox: Sandbox) -> None:
    plants = GOOD_KINDS[kind]
    certificates = await asyncio.gather(*(certify(plant(), sandbox) for plant in plants.values()))
    for name, certificate in zip(plants, certificates, strict=True):
        assert [result for result in certificate.checks if not result.passed] == [], name
        assert certificate.certified
