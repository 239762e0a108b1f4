"""Whether a text is in the language that it should be in: by script, and by identification.

What this does not guarantee: certainty for texts of a few words, which are let pass when their
script is right.
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
"""Words below which identification is not asked."""
_SURE = 0.95
"""Probability from which another language is believed."""


def in_language(text: str, language: Language) -> bool:
    """Whether a text may pass for one in that language.

    What stands in quotation marks or is no word of any language (addresses, paths, names with
    underscores) is left out.
    """
    plain = _QUOTED.sub(" ", text)
    words = [word for word in _WORD.findall(plain) if not _HAN.search(word)]
    han, other = len(_HAN.findall(plain)), len(words)
    if _KANA_HANGUL.search(plain) or han + other == 0:
        return False
    if language == "zh":
        return han >= other
    latin = sum(word[0].lower() < "\u0250" for word in words)
    return han * 5 <= other and latin * 5 >= other * 4 and not _foreign(plain, other)


def _foreign(text: str, words: int) -> bool:
    """Whether a text in Latin letters is surely not English."""
    if words < _FEW:
        return False
    found, probability = _identifier().classify(text)
    return found != "en" and float(probability) >= _SURE


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier  # late: two seconds

    return LanguageIdentifier.from_modelpath(MODEL_DIR / MODEL_FILE, norm_probs=True)
