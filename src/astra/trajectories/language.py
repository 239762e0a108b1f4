"""Checks the language of a text: by script, and by language identification.

What this does not guarantee: certainty for texts of a few words, where only the script is checked.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from astra.types import Language

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_]+")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|“[^”]*”|`[^`]*`|\S+@\S+|\w+(?:[./_]\w+)+")
_FEW = 8
"""Words below which only the script is checked."""
_SURE = 0.95
"""Probability from which the identified language counts."""


def in_language(text: str, language: Language) -> bool:
    """Whether a text is in a language, as far as can be told.

    Quotations, and tokens that belong to no language (addresses, paths, names with underscores),
    are ignored.
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
    if other < _FEW:
        return True
    identified, probability = _identifier().classify(plain)
    return identified == "en" or float(probability) < _SURE


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier  # late: two seconds

    return LanguageIdentifier.from_modelpath(MODEL_DIR / MODEL_FILE, norm_probs=True)
