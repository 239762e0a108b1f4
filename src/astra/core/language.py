"""The language of a text: by script, and by identification where English shares its script.

A CJK ideograph counts as one unit and a run of Latin letters as one, so that foreign names in a
sentence do not decide. Not guaranteed: certainty for a few words in Latin letters, which pass for
English.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from astra.types import Language

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_OTHER = re.compile(
    "[^\\W\\d_\u0000-\u024f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_KANA_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_]+")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|“[^”]*”|`[^`]*`|\S+@\S+|\w+(?:[./_]\w+)+")
_IDENTIFIED_WORDS = 8
"""Words from which identification is used."""
_CERTAIN = 0.95
"""Probability from which another language is believed."""


def language_of(text: str) -> Language | None:
    """The language of most units of a text, by script. None without letters, or in a third one."""
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    other = len(_OTHER.findall(text))
    if han + latin == 0 or other > (han + latin) / 2:
        return None
    return "zh" if han >= latin else "en"


def in_script(text: str, language: Language) -> bool:
    """Whether most of a text is in the language's script. True for a text without letters."""
    by_script = language_of(text)
    return by_script == language or (by_script is None and not any(c.isalpha() for c in text))


def in_language(text: str, language: Language) -> bool:
    """Whether a text is in the language, as far as script and identification tell.

    Quoted parts and words of no language (addresses, paths, names with underscores) are left out.
    """
    plain = _QUOTED.sub(" ", text)
    words = [word for word in _WORD.findall(plain) if not _HAN.search(word)]
    han, other = len(_HAN.findall(plain)), len(words)
    if _KANA_HANGUL.search(plain) or han + other == 0:
        return False
    if language == "zh":
        return han >= other
    latin = sum(word[0].lower() < "\u0250" for word in words)
    if han * 5 > other or latin * 5 < other * 4:
        return False
    if other < _IDENTIFIED_WORDS:
        return True
    identified, probability = _identifier().classify(plain)
    return identified == "en" or float(probability) < _CERTAIN


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier  # late: two seconds

    return LanguageIdentifier.from_modelpath(MODEL_DIR / MODEL_FILE, norm_probs=True)
