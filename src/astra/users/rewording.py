"""Guards what a model says in the user's place: it may reword a text and nothing else.

A reply has to hold the facts of the text that it rewords, in their order, and no others: numbers
and codes, what stands in quotation marks, names and values of the database, names of columns, and
words that turn a meaning round ("not", "otherwise", "off").

What this does not guarantee: a name that is made up in Chinese without marks, or a noun that is
neither a column nor a value, is not seen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from astra.states import ArenaState

RewordingFault = Literal["left_out", "early", "invented", "contradicted"]
"""left_out: a fact of the text is missing. early: a fact that the user tells only later, or when
they are asked. invented: a fact that is nowhere. contradicted: the facts are in another order, or
another word turns the meaning round."""

_LONGER = 4
"""A reply of more than so many times the text's length is not the same message any more."""
_CODES = re.compile(r"[\w.@+/-]*[\d@][\w.@+/-]*", re.ASCII)
_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|「([^」\n]+)」")
_NUMBER_WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven"
    r"|eigh|nine)teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand"
    r"|half|double|twice)\b|[二三四五六七八九十百千万两]+(?=个|件|元|欧|天|年|月|日|号|倍)|一半"
)
_NAMES = re.compile(r"(?<=[a-z0-9,;] )[A-Z][A-Za-z'’-]{2,}")
_TURNING = {
    "not": r"\b(?:not|never|without|except)\b|n't\b|不(?!好意思)|别|没",
    "off": r"\b(?:off|disable|unsubscribe)\b|关闭|关掉|取消订阅",
    "true": r"\btrue\b",
    "false": r"\bfalse\b",
    "if": r"\b(?:if|unless|whether)\b|如果|要是|除非",
    "otherwise": r"\b(?:otherwise|else)\b|否则|不然",
    "every": r"\b(?:every|each)\b|每|都",
    "cancel": r"\b(?:cancel|delete|remove)\b|取消|删除",
    "back": r"\b(?:back|before|undo|revert|restore|original|previous)\b|恢复|撤销|原来|原状|还原",
    "above": r"\b(?:above|over|more than|higher)\b|高于|超过|大于",
    "below": r"\b(?:below|under|less than|lower)\b|低于|少于|小于",
}
"""Words that turn a meaning round, by meaning."""


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("’", "'").casefold()


@dataclass(frozen=True)
class RewordingGuard:
    """What is known of an arena's conversation, to judge rewordings of its user's texts."""

    state: ArenaState

    @cached_property
    def _terms(self) -> re.Pattern[str]:
        """Names, values and columns of the database, the longest first."""
        terms = set[str]()
        for table in self.state.tables().tables:
            terms.update(column.name.replace("_", " ") for column in table.columns)
            terms.update(choice for column in table.columns for choice in column.choices)
            terms.update(cell for row in table.rows for cell in row if isinstance(cell, str))
        for turn in self.state.turns:
            terms.update(label for held in turn.held for label in held.labels[:1])
        known = sorted({_plain(t) for t in terms if len(t) > 2 - (not t.isascii())}, key=len)
        return re.compile("|".join(map(_whole, reversed(known))) or r"(?!)", re.ASCII)

    def facts(self, text: str) -> list[str]:
        """The facts of a text in their order."""
        places: list[tuple[int, int, str]] = []
        for found in _QUOTED.finditer(text):
            places.append((found.start(), found.end(), next(filter(None, found.groups()))))
        for pattern in (_NAMES, _CODES):
            places += [(f.start(), f.end(), f[0].rstrip(".'")) for f in pattern.finditer(text)]
        low = text.casefold()
        if len(low) == len(text):  # else the places would not be the same
            for pattern in (self._terms, _NUMBER_WORDS):
                places += [(f.start(), f.end(), f[0]) for f in pattern.finditer(low)]
        # What stands inside of something longer is no fact of its own.
        kept: list[str] = []
        end = -1
        for start, stop, fact in sorted(places, key=lambda place: (place[0], -place[1])):
            if start >= end:
                kept.append(_plain(fact).strip(" .'"))
                end = stop
        return [fact for fact in kept if fact]

    def fault(
        self, text: str, reply: str, *, earlier: Iterable[str] = (), turn: int
    ) -> RewordingFault | None:
        """What is wrong with a reply in the place of a text. None: nothing.

        `earlier`: what the user said before, which may be said again. `turn`: the user's.
        """
        wanted, said = self.facts(text), self.facts(reply)
        before = {fact for line in earlier for fact in self.facts(line)}
        new = [fact for fact in said if fact not in wanted and fact not in before]
        later = {fact for line in self.later(turn) for fact in self.facts(line)}
        if any(fact in later for fact in new):
            return "early"
        if not reply.strip() or len(reply) > _LONGER * len(text) + 200:
            return "invented" if reply.strip() else "left_out"
        if new:
            return "invented"
        if set(wanted) - set(said):
            return "left_out"
        if _firsts(wanted) != _firsts([fact for fact in said if fact in wanted]):
            return "contradicted"
        if self._turning(text, wanted) != self._turning(reply, [*wanted, *before]):
            return "contradicted"
        return None

    def later(self, turn: int) -> list[str]:
        """What the user has not said yet: later turns, and what is held back."""
        turns = self.state.turns
        texts = [later.text for later in turns[turn + 1 :]]
        return [*texts, *(held.told for later in turns[turn:] for held in later.held)]

    def _turning(self, text: str, facts: Sequence[str]) -> tuple[set[str], int]:
        """Meanings of words that are no part of a fact, and how often it says "not"."""
        low = _plain(text)
        if facts:
            # Whole words: the priority "low" is no part of "lower the price".
            low = re.sub("|".join(_whole(fact) for fact in facts), " ", low, flags=re.ASCII)
        meanings = {meaning for meaning, words in _TURNING.items() if re.search(words, low)}
        return meanings, len(re.findall(_TURNING["not"], low))


def _whole(term: str) -> str:
    """A pattern for a term, not inside of a longer word where words stand apart."""
    start = r"(?<!\w)" if term[0].isascii() else ""
    end = r"(?!\w)" if term[-1].isascii() else ""
    return start + re.escape(term) + end


def _firsts(facts: Sequence[str]) -> list[str]:
    """Each fact once, where it stands first."""
    return list(dict.fromkeys(facts))
