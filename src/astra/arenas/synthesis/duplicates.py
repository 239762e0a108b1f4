"""Finds questions that were asked before: in the same words, or nearly and with the same answer."""

from __future__ import annotations

import re

from astra.arenas.synthesis.records import DecomposedItem
from astra.core.text import normalise
from astra.types import members_of

NEAR = 0.8
"""Jaccard similarity of content words from which English questions count as nearly the same."""
_FILLERS = frozenset(
    """a an the is are was were be of in on at to for from by with and or do does did has have had
    what which who whom whose where when how many much that this these those it its s there tell
    me please can could you find out give name""".split()
) | frozenset("的了是在吗呢请问什么哪些多少个为有和与及该这那其之一谁几位名座家")
_TOKEN = re.compile("[a-z0-9]+|[^\\W\\d_a-z]|\\d+")


class DuplicateQuestions:
    """Remembers questions, and finds the earlier one that a new one duplicates.

    Nearly the same: the same names and numbers, and nearly the same content words, in any order.
    Questions that differ in one name are not duplicates, however alike they look. Not covered:
    paraphrases in other words.
    """

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._near: dict[str, list[tuple[str, frozenset[str]]]] = {}

    def earlier(self, instance: DecomposedItem) -> str:
        """Key of the earlier instance this one duplicates. Empty if it is not a duplicate."""
        first = self._exact.setdefault(normalise(instance.question), instance.key)
        if first != instance.key:
            return first
        answer = sorted(normalise(str(member)) for member in members_of(instance.answer))
        # Words with a capital or a digit distinguish questions: they must be the same.
        words = re.findall(r"\w+", instance.question)
        names = frozenset(w.lower() for w in words if w != w.lower() or w.isdecimal()) - _FILLERS
        content = frozenset(_TOKEN.findall(normalise(instance.question))) - _FILLERS
        peers = self._near.setdefault(f"{answer}:{sorted(names)}", [])
        # A Chinese token is one character: one that differs may be another word.
        least = NEAR if instance.language == "en" else 1.0
        for key, other in peers:
            if key != instance.key and len(content & other) >= least * len(content | other):
                return key
        peers.append((instance.key, content))
        return ""
