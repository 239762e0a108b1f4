"""Which of the two languages a text is in, by its script.

A CJK ideograph counts as one unit and a run of Latin letters as one, so that foreign names in a
sentence do not decide. Not covered: languages that share a script (German passes for English).
"""

from __future__ import annotations

import re

from astra.types import Language

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_OTHER = re.compile(
    "[^\\W\\d_\u0000-\u024f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)


def language_of(text: str) -> Language | None:
    """The language of most units of a text; None without letters, or in a third script."""
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    other = len(_OTHER.findall(text))
    if han + latin == 0 or other > (han + latin) / 2:
        return None
    return "zh" if han >= latin else "en"


def in_language(text: str, language: Language) -> bool:
    """Whether a text may pass for one in that language; one without letters may."""
    found = language_of(text)
    return found == language or (found is None and not any(c.isalpha() for c in text))
