"""Rules by which a new wording asks something else than the old one.

Compared are the kind of question (how many, which, when), units, opposites (first and last, more
and less), negations, attributes, and the choices that the gold calls make. A rule speaks only where
one wording has a word *in the place of* another's: what is merely said in other words passes.
Words stand in `wordings.toml`. Not covered: whatever those lists do not hold; a judge reads both
wordings after the rules.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from astra.arenas.certificate.parameters import parameters_of
from astra.core.text import contains_text, normalise, scalars
from astra.types import Arena, Language

_WORDS = tomllib.loads(Path(__file__).with_name("wordings.toml").read_text("utf-8"))

# Where a question word asks: at the beginning, after a pause, or after "tell me", "I wonder".
_ASKING = (
    r"(?:^|[,;:—–-]\s*|\b(?:me|us|you|know|wonder|wondering|say|tell|ask|asked|see|out|and|so|idea"
    r"|remember|curious|about|exactly|is|was|are|were)\s+)(?:(?:in|on|at|of|from|to|by|for|with"
    r"|since|until|during)\s+)?"
)
_ENGLISH_KINDS = (
    ("when", r"when|(?:which|what) (?:\w+ )?(?:year|years|day|days|date|dates|month|time|decade)"),
    (
        "count",
        r"how (?:many|much|often|high|tall|long|far|old|big|large|deep|wide|heavy|fast)"
        r"|(?:which|what)(?: is| was|['’]s)? (?:the )?(?:total |exact )?"
        r"(?:number|count|total|amount|sum)",
    ),
    ("entity", r"who(?:se|m)?|which|where|what (?:kind|city|country|town|person|company|place)"),
    ("open", r"what(?:['’]s)?"),
)
_CHINESE_KINDS = (
    (
        "when",
        r"哪一?个?(?:年|天|日|月)|何[时年日]|什么(?:时候|时间|日子)|几[月日号]",
    ),
    ("count", r"多[少高长远大久重深宽快]|几(?!乎|何)|数量|总数|人数"),
    ("entity", r"谁|哪|何处|什么(?:地方|人)"),
    ("open", r"什么"),
)


class _Family(NamedTuple):
    """Words that mean the same here."""

    pattern: re.Pattern[str]

    def found(self, text: str) -> str:
        """The first of the words that stands in a text; empty if none does."""
        match = self.pattern.search(text)
        return match[0].strip() if match else ""


@cache
def _family(words: str, language: Language) -> _Family:
    bounded = rf"(?<![^\W_])(?:{words})(?![^\W_])" if language == "en" else words
    return _Family(re.compile(bounded, re.IGNORECASE))


def changed_meaning(old: str, new: str, language: Language) -> str:
    """What a new wording asks otherwise. Empty if no rule finds anything."""
    old, new = _plain(old, language), _plain(new, language)
    return (
        _other_kind(old, new, language)
        or _other_unit(old, new, language)
        or _opposite(old, new, language)
        or _negated(old, new, language)
        or _other_attribute(old, new, language)
    )


def _plain(question: str, language: Language) -> str:
    """The text without what a person says beside the question, "no more than" as "at most"."""
    text = normalise(question)
    for pattern, plain in (
        (r"\b(?:no|not) (?:more|later|larger|higher|greater) than\b", "at most"),
        (r"\b(?:no|not) (?:less|fewer|earlier|smaller|lower) than\b", "at least"),
    ):
        text = re.sub(pattern, plain, text)
    return _family(_WORDS[language]["asides"], language).pattern.sub(" ", text)


# --- the rules -------------------------------------------------------------------------------


def _other_kind(old: str, new: str, language: Language) -> str:
    before, after = _kinds(old, language), _kinds(new, language)
    if before and after and not before & after and "open" not in before | after:
        return (
            f"the new wording asks for something of another kind ({'/'.join(sorted(after))}, not "
            f"{'/'.join(sorted(before))}): ask the same question"
        )
    # "How many rivers" is no "what rivers", but may be "what is the population".
    lost = before == {"count"} and after == {"open"}
    if lost and language == "en" and re.search(r"\bwhat (?:are|\w+s (?:are|have|do|lie))\b", new):
        return "the new wording asks which ones there are, not how many: ask the same question"
    return ""


def _kinds(text: str, language: Language) -> set[str]:
    kinds: set[str] = set()
    if language == "zh":
        for kind, words in _CHINESE_KINDS:
            text, number = re.subn(words, " ", text)
            kinds |= {kind} if number else set()
        return kinds
    sentences = re.split(r"(?<=[.?!])\s+", text)
    asking = [sentence for sentence in sentences if "?" in sentence] or sentences
    sentence = asking[-1]
    last = -1
    # The last question word that asks: "when I visit Peru, which …" asks which.
    for kind, words in _ENGLISH_KINDS:
        for match in re.finditer(rf"{_ASKING}(?P<word>{words})\b", sentence):
            if match.start("word") > last:
                last, kinds = match.start("word"), {kind}
    if not kinds and (found := re.search(r"\bhow (?:many|much|high|tall|far|old)\b", sentence)):
        del found
        kinds = {"count"}
    return kinds


def _other_unit(old: str, new: str, language: Language) -> str:
    before, after = _units(old, language), _units(new, language)
    if before == after:
        return ""
    lost, added = before.keys() - after.keys(), after.keys() - before.keys()
    if lost and added:
        words = f"{before[min(lost)]!r}, not {after[min(added)]!r}"
        return f"the old wording says {words}: keep the unit"
    if lost:
        return f"the new wording lacks the unit {before[min(lost)]!r}"
    return ""


def _units(text: str, language: Language) -> dict[int, str]:
    """Units that a number or a question is about, by their place in the list."""
    quantity = _WORDS[language]["quantity"]
    found: dict[int, str] = {}
    # Those with a square or cubic metre first: what is found is cut out of the text.
    numbered = enumerate(_WORDS[language]["units"])
    for number, words in sorted(
        numbered, key=lambda pair: not re.match("square|cubic|平方|立方", pair[1])
    ):
        if language == "zh":
            pattern = rf"(?:\d|{quantity}).{{0,3}}?(?P<unit>{words})"
        else:
            pattern = (
                rf"(?:(?<![^\W_])(?:{quantity}) (?!which |what )(?:\w+ )?|\d\s?|[(])"
                rf"(?P<unit>{words})(?![^\W_])"
            )
        if match := re.search(pattern, text):
            found[number] = match["unit"]
            text = text[: match.start("unit")] + "·" + text[match.end("unit") :]
    return found


def _opposite(old: str, new: str, language: Language) -> str:
    for one, other in _WORDS[language]["opposites"]:
        for here, there in ((one, other), (other, one)):
            mine, theirs = _family(here, language), _family(there, language)
            said, says = mine.found(old), theirs.found(new)
            if said and says and not theirs.found(old) and not mine.found(new):
                return f"the new wording says {says!r} where the old one says {said!r}"
    return ""


def _negated(old: str, new: str, language: Language) -> str:
    family = _family(_WORDS[language]["negations"], language)
    before, after = family.found(old), family.found(new)
    if before and not after:
        return f"the new wording lacks {before!r}"
    return f"the new wording says {after!r}, the old one does not" if after and not before else ""


def _other_attribute(old: str, new: str, language: Language) -> str:
    families = [_family(words, language) for words in _WORDS[language]["attributes"]]
    lost = [f.found(old) for f in families if f.found(old) and not f.found(new)]
    added = [f.found(new) for f in families if f.found(new) and not f.found(old)]
    if lost and added:
        return f"the new wording asks about {added[0]!r}, the old one about {lost[0]!r}"
    return ""


def changed_choice(arena: Arena, question: str) -> str:
    """Another value of an enum than a gold call has: the wording names that one now."""
    tools = {tool.name: tool for tool in arena.tools}
    for goal in arena.goals:
        if goal.call is None or goal.call.tool not in tools:
            continue
        for name, schema in parameters_of(tools[goal.call.tool]).items():
            given = goal.call.arguments.get(name)
            if not isinstance(given, str) or given not in schema.get("enum", ()):
                continue
            if not _names(arena.question, given) or _names(question, given):
                continue
            for other in scalars(schema["enum"]):
                if (
                    isinstance(other, str)
                    and _names(question, other)
                    and not _names(arena.question, other)
                ):
                    return f"the new wording names {other!r}, the call needs {given!r}"
    return ""


def _names(text: str, value: str) -> bool:
    return contains_text(text, value) or contains_text(text, value.replace("_", " "))
