"""What a message of an agent is, by its words: a question, a refusal, a claim that all is done.

Rules for English and Chinese (`phrases`), applied to whatever language the message is in. They read
wording and never the state, so that nothing a user says tells more than the agent was told before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from astra.types import Language
from astra.users import phrases

_BREAK = re.compile(
    # A dot before a small letter ends no sentence: "the contact for Brightline Ltd. be".
    r"(?<=\.)(?=\s+[^a-z\s])|(?<=\.[\"'”’)])(?=\s)|(?<=[!?])(?=\s|[^\x00-\x7f\"'”’)」』])"
    r"|(?<=[!?][\"'”’)])(?=\s)|(?<=。)(?![”’」』)])|\n"
)
_QUOTED = re.compile(r"\"[^\"\n]{4,}\"|“[^”\n]{4,}”|「[^」\n]{4,}」|‘[^’\n]{4,}’")
_CLAUSE = re.compile(r"(?<=[,;])\s*")
_COUNTED = re.compile(r"^(?:number|amount|count) of ", re.IGNORECASE)
_UNSAID = {
    "en": {"number", "months", "hours", "subscription", "rate"},
    "zh": {"月数", "号码", "情况", "数额"},
}
"""Last words that questions leave out: "how long is the warranty"."""
_KEPT = 512
"""Messages whose reading is kept: users and rewards read each one several times."""


def plain(text: str) -> str:
    """A text as it is searched: one spelling of letters, quotation marks and spaces."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("_", " ")
    return re.sub(r"[ \t*`]+", " ", text)


def sentences(text: str) -> list[str]:
    """The sentences of a message, marks at their ends."""
    return [part for found in _BREAK.split(plain(text)) if (part := found.strip())]


@lru_cache(maxsize=_KEPT)
def _unquoted(text: str) -> tuple[str, ...]:
    """The sentences without what is quoted: a subject "can't log in" is no refusal."""
    return tuple(_QUOTED.sub('""', part) for part in sentences(text))


@lru_cache(maxsize=_KEPT)
def questions(text: str) -> tuple[int, ...]:
    """Which of the sentences ask something. A closing such as "Anything else?" asks nothing."""
    return tuple(number for number, part in enumerate(_unquoted(text)) if _is_question(part))


def _is_question(sentence: str) -> bool:
    marked = sentence.rstrip("\"'”’)* ").endswith(("?", "？"))
    return not phrases.CLOSING.search(sentence) and (
        marked or phrases.ASKING.search(sentence) is not None
    )


def value_names(label: str, language: Language) -> tuple[str, ...]:
    """What a value may be called in a question: as a request calls it, and more shortly."""
    if language == "zh":
        head, rest = (label[-2:], label[:2]) if len(label) > 3 else (label, label)
    else:
        words = _COUNTED.sub("", label).split()
        head, rest = (words[-1], " ".join(words[:-1])) if len(words) > 1 else (label, label)
    short = rest if head in _UNSAID[language] else head
    return tuple(dict.fromkeys((label, _COUNTED.sub("", label), short)))


def asks_for(
    text: str, labels: Iterable[str], choices: Sequence[str] = (), *, by_name: bool = False
) -> bool:
    """Whether a message asks for something of these names, in a question or just beside one.

    Asking what the new value is, or naming two of those that there are to choose from, is asking
    for it, too, unless it has to be `by_name`.
    """
    parts = sentences(text)
    for number in questions(text):
        near = " ".join(parts[max(0, number - 1) : number + 2])
        if any(_stands_in(label, near) for label in labels):
            return True
        if by_name:
            continue
        if phrases.NEW_VALUE.search(near):
            return True
        if sum(_stands_in(choice, near) for choice in choices) >= 2:
            return True
    return False


@lru_cache(maxsize=_KEPT)
def says_cannot(text: str) -> bool:
    """Whether a message says that something can't be done, or that a tool for it is missing."""
    return any(phrases.CANNOT.search(part) for part in _unquoted(text))


@lru_cache(maxsize=_KEPT)
def asks_to_go_ahead(text: str) -> bool:
    """Whether a message asks for leave to do what was asked for."""
    return any(
        phrases.LEAVE.search(part)
        and not phrases.CLOSING.search(part)
        and not phrases.OPEN.search(part)
        and not phrases.SUPPLYING.search(part)
        for part in _unquoted(text)
    )


@lru_cache(maxsize=_KEPT)
def says_done(text: str) -> bool:
    """Whether a message claims that something was done."""
    return any(
        phrases.DONE.search(clause) and not phrases.NOT_YET.search(clause)
        for part in _unquoted(text)
        if not _is_question(part) and not phrases.CLOSING.search(part)
        for clause in _CLAUSE.split(part)
    )


def _stands_in(words: str, text: str) -> bool:
    """Whether words stand in a text: at word boundaries, where the script has them."""
    wanted = plain(words).strip().casefold()
    if not wanted:
        return False
    start = r"(?<!\w)" if wanted[0].isascii() else ""
    end = r"(?!\w)" if wanted[-1].isascii() else ""
    return re.search(start + re.escape(wanted) + end, text.casefold(), re.ASCII) is not None
