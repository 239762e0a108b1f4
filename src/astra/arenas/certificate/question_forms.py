"""Two forms of questions in which an answer stands without being given away.

"Is it Lima or Oslo?" offers the answer beside another one, and "2. How many …" only numbers its
parts. Not covered: offers of other forms, such as tables or lists on lines of their own.
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
_SENTENCE = re.compile(r"[^?？.!。！]*[?？]")


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
    """Whether a question asks to choose: the answer stands beside an "or" with another one of its
    kind, and nowhere else."""
    members = members_of(answer)
    if len(members) != 1 or isinstance(members[0], bool):
        return False
    text = str(members[0])
    word = re.escape(text)
    # Another name for a name, another number for a number.
    other = r"\d[\d,.]*\d|\d" if not isinstance(members[0], str) else rf"(?!{word}\b)\w[\w'’-]*"
    if text[:1].isupper():
        other = r"(?-i:[^\W\d_a-z])[\w'’-]*(?: [^\W\d_a-z][\w'’-]*)*"
    either = re.compile(
        rf"(?<!\w){word},? or (?:the |in |on )?(?:{other})"
        rf"|(?<!\w)(?:{other}),? or (?:the |in |on )?{word}(?!\w)|{word}还是\w+|\w+还是{word}",
        re.IGNORECASE,
    )
    pattern = re.compile(rf"(?<!\w){word}(?!\w)", re.IGNORECASE)
    sentences = _SENTENCE.findall(question)
    offers = sum(
        len(pattern.findall(sentence)) for sentence in sentences if either.search(sentence)
    )
    return offers > 0 and offers == len(pattern.findall(question))
