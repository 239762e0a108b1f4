"""Two forms of questions in which an answer stands without being given away.

"Is it Lima or Oslo?" and "Of Lima and Oslo, which is larger?" offer the answer beside another one,
and "2. How many …" only numbers its parts. Not covered: offers of
other forms, such as tables or lists on lines of their own.
"""

from __future__ import annotations

import re

from astra.types import Answer, members_of

_LABEL = re.compile(
    r"(?:^|(?<=[\s.;:?!。？；]))(?:(?:question|task|step|part|no\.|q)\s*(\d{1,2})\s?[.):]"
    r"|第\s*(\d{1,2})\s*[题问步][：:.、]?)(?=\s|\D|$)",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"(?:^|(?<=[\s.;:?!。？；]))(?:\((\d{1,2})\)|（(\d{1,2})）|(\d{1,2})[.)、])(?=\s|\D)"
)
_ASKS = re.compile(r"\bwhether\b|[?？]$", re.IGNORECASE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SENTENCE = re.compile(r"[^?？.!。！]*[?？.!。！]?")
_COMPARES = re.compile(
    r"\bwh(?:ich|o|at)\b(?: [\w-]+){0,5}? "
    r"(?:is|are|was|were|has|have|had|does|did|offers?|costs?|sells?|charges?|gives?|takes?|took"
    r"|lasts?|comes?|came) (?:it |the |a |much |far )*(?:[\w-]+ )?"
    r"(?:[\w-]+er|[\w-]+est|more|less|fewer|better|worse|most|least|fewest|best|worst|first|last)\b"
    r"|[哪谁].{0,40}?[更较最]",
    re.IGNORECASE,
)
"""A question which of several is more or less of something."""


def without_numbering(question: str) -> str:
    """The question without labels such as "Question 3:", and without numbers of a list 1, 2, …"""
    text = _LABEL.sub(" ", question)
    items = [(match, int(next(filter(None, match.groups())))) for match in _ITEM.finditer(text)]
    # Only a list that counts from one: "3." may also end a sentence that gives the answer.
    if len(items) < 2 or [number for _, number in items] != list(range(1, len(items) + 1)):
        return text
    for match, _ in reversed(items):
        text = text[: match.start()] + " " + text[match.end() :]
    return text


def is_offered(answer: Answer, question: str) -> bool:
    """Whether a question asks to choose, and the answer is one of what it names to choose from.

    The answer stands beside an "or" with another one of its kind, or beside an "and" where the
    question asks which of them is more, and nowhere else.
    """
    members = members_of(answer)
    if len(members) != 1 or isinstance(members[0], bool):
        return False
    text = str(members[0])
    # Most answers stand nowhere, and a pattern of each takes longer than all else here. Only in
    # ASCII: without case, i is also the letters İ and ı to `re`.
    if (text + question).isascii() and text.lower() not in question.lower():
        return False
    # Chinese has no spaces between words.
    start, end = ("", "") if _CHINESE.search(text) else (r"(?<!\w)", r"(?!\w)")
    word = f"{start}{re.escape(text)}{end}"
    pattern = re.compile(word, re.IGNORECASE)
    if not pattern.search(question):
        return False
    # Another name for a name, another number for a number.
    other = r"\d[\d,.]*\d|\d" if not isinstance(members[0], str) else rf"(?!{word})\w[\w'’-]*"
    # As the question writes it: many people write no capitals.
    if any(match.group()[:1].isupper() for match in pattern.finditer(question)):
        capital = r"(?=[\w'’-]*(?-i:[^\W\d_a-z]))[^\W\d_][\w'’-]*"
        other = rf"{capital}(?: {capital}){{0,5}}"
    # Where an "and" may do, no verb shows that a sentence asks.
    joined = bool(_COMPARES.search(question))
    joint, joint_zh = ("or", "还是")
    if joined:
        joint, joint_zh = (r"(?:or|and|vs\.?|versus|&)", "(?:还是|和|与|跟)")
    beside = rf"['’s]{{0,2}},? {joint} (?:the |in |on |at |from )*"
    either = re.compile(
        rf"{word}{beside}(?:{other})|(?<!\w)(?:{other}){beside}{word}"
        rf"|{word}{joint_zh}\w|\w{joint_zh}{word}",
        re.IGNORECASE,
    )
    sentences = _SENTENCE.findall(question)
    offers = sum(
        len(pattern.findall(sentence))
        for sentence in sentences
        if (joined or _ASKS.search(sentence)) and either.search(sentence)
    )
    return offers > 0 and offers == len(pattern.findall(question))
