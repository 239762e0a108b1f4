"""What the grep of a reader's leavings takes for a value that was told."""

from __future__ import annotations

from tests.integrations.conftest import stands_in


def test_what_counts_as_told() -> None:
    assert stands_in("31506", '{"total": 31506, "at": 7}') and stands_in("P-11", "a P-112")
    assert not stands_in("31506", "2026-11-29T20:05:11.315061 a31506b 9-31506-1")
