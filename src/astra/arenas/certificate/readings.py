"""Whether a value can be read from a text, also where it is disguised.

The one place that undoes disguises, for every check that asks what an agent can read (`leak` and
`ablation`, and `leaks` wherever candidates are made). Undone are accents, letters and digits set
apart, other groups of digits, magnitudes ("83.2 million"), Roman numerals, numbers such as 0x1F,
reversed text, rot13, base64, base32, hexadecimal, character codes, percent and backslash escapes,
HTML entities, look-alike letters in a word of Latin ones, and text in tags or variation selectors.

Short values are found plainly only, since a reversed "no" stands in most texts. Not covered:
numbers in words, translations, other ciphers, a value in parts that stand apart.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from astra.arenas.certificate.containment import stands_in
from astra.core.spellings import scaled_numbers
from astra.core.text import as_number, normalise
from astra.rewards import same_number
from astra.types import Scalar

_LEAST_APART = 3
"""Characters of a value from which it is found with each of them set apart."""
_LEAST_JOINED = 5
"""Characters from which a value is found in pieces, reversed, or as one word."""
_LEAST_ROTATED = 6
"""Two words of five letters, "green" and "terra", are each other's rot13."""
_WIDEST_GAP = 3
"""Characters between two letters of one value."""
_LONGEST = 400
"""Characters beyond which a value is compared as it stands."""

# The look-ahead asks for two letters that can begin a text in UTF-8: few English words do.
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?=[I-Za-f][C-HS-Xi-ny-z0-3]|[w-z0-9][I-LYZabo-r4-7])"
    r"(?:[A-Za-z0-9+/_-]{4,}={0,2}|[A-Za-z0-9+/_-]{3}=)"
)
_BASE32 = re.compile(r"[A-Z2-7]{8,}={0,6}")
_HEXADECIMAL = re.compile(r"(?:\b0x)?[0-9a-fA-F]{2}(?:[ :,]{0,2}(?:0x)?[0-9a-fA-F]{2}){2,}")
_ESCAPE = re.compile(
    r"\\u([0-9a-fA-F]{4})|\\[ux]\{([0-9a-fA-F]{1,6})\}|\\x([0-9a-fA-F]{2})"
    r"|U\+([0-9A-F]{4,6})\s?"
)
_BASE_NUMBER = re.compile(r"(?<!\w)0(?:[xX][0-9a-fA-F]+|[bB][01]+|[oO][0-7]+)(?!\w)")
_CHARACTER_CODES = re.compile(r"(?<![\d.])\d{2,3}(?:[ ,;:/-]{1,2}\d{2,3}){2,}(?![\d.])")
_SEPARATORS = re.compile(r"[\W_]+")
_ROMAN = re.compile(
    r"(?<!\w)(?=[IVXLCDM]{3}|[ivxlcdm]{4})"
    r"(m{0,4}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3}))(?!\w)",
    re.IGNORECASE,
)
_ROMAN_DIGITS = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
_LEAST_ROMAN = 10
"""Smaller numerals are the names of kings: Henry VIII does not say 8."""


class _Letters(NamedTuple):
    """The letters and digits of a text without accents and case, and what stands between them."""

    text: str
    """The text in its compatibility form, with case, without accents."""
    letters: str
    """Its letters and digits, case-folded, one after the other."""


class _Readings(NamedTuple):
    """What a text says when it is decoded."""

    letters: _Letters
    decoded: tuple[str, ...]
    """Every piece that was in a code."""
    numbers: tuple[float, ...]
    """Numbers written with a magnitude, and Roman numerals."""


def can_be_read(
    value: Scalar | None, text: str, *, absolute: float = 0.0, relative: float = 1e-9
) -> bool:
    """Whether a value stands in a text, plainly or disguised. Booleans and null stand nowhere.

    `absolute`, `relative`: tolerances within which a number counts as the value.
    """
    if value is None or isinstance(value, bool):
        return False
    if stands_in(value, text, absolute=absolute, relative=relative):
        return True
    wanted = _letters(_digits(value) if isinstance(value, int | float) else value)
    if not 1 < len(wanted.letters) <= _LONGEST:
        return False
    readings = _readings(text)
    if as_number(value) is not None and any(
        same_number(value, number, absolute=absolute, relative=relative)
        for number in readings.numbers
    ):
        return True
    spelled = normalise(str(value))
    for piece in readings.decoded:
        # Nonsense that decodes to something holds short values by chance.
        if normalise(piece) == spelled:
            return True
        if len(wanted.letters) >= _LEAST_APART and (
            stands_in(value, piece, absolute=absolute, relative=relative)
            or _is_set_apart(wanted, _letters(piece))
        ):
            return True
    return len(wanted.letters) >= _LEAST_APART and _is_set_apart(wanted, readings.letters)


def code_can_be_read(code: str, text: str) -> bool:
    """As `can_be_read` for a short code in capitals: with case, so that IS is not in "what is"."""
    whole = rf"(?<![^\W_]){code}(?![^\W_])"
    spread = r"[\W_]{1,3}".join(code)
    apart = rf"(?<![^\W_]){spread}(?![^\W_])"
    plain = unicodedata.normalize("NFKC", text)
    return (
        any(re.search(whole, piece) for piece in (plain, *_readings(text).decoded))
        # Two capitals stand apart in too many texts, three as in U.S.A. do not.
        or (len(code) >= _LEAST_APART and re.search(apart, plain) is not None)
    )


# --- letters and digits ------------------------------------------------------------------------


def _digits(number: float) -> str:
    """A number's digits as it is written without a power of ten."""
    try:
        return f"{abs(number):f}".rstrip("0").rstrip(".") if number % 1 else str(abs(int(number)))
    except (ValueError, OverflowError):  # infinite, or of more digits than Python prints
        return ""


@lru_cache(maxsize=1024)
def _letters(text: str) -> _Letters:
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Cf"))
        text = text.translate(_STROKES)
        text = _MIXED_WORD.sub(lambda word: word[0].translate(_LOOK_ALIKES), text)
    return _Letters(text, _SEPARATORS.sub("", text).casefold())


@lru_cache(maxsize=64)
def _positions(text: str) -> tuple[int, ...]:
    """Where each of the letters stands in the text of `_Letters`."""
    return tuple(
        position
        for position, character in enumerate(text)
        if character.isalnum()
        for _ in character.casefold()
    )


_STROKES = str.maketrans("øØłŁđĐðÐıħĦŧŦ", "oOlLdDdDihHtT")
"""Letters with a stroke: Unicode does not take them apart."""
_LOOK_ALIKES = str.maketrans(
    "АВЕКМНОРСТУХаеорсухіјѕ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονι", "ABEKMHOPCTYXaeopcyxijs" + "ABEZHIKMNOPTYXovi"
)
"""Cyrillic and Greek letters that look like Latin ones: read as those in a word with such."""
_MIXED_WORD = re.compile(r"\w*[A-Za-z]\w*")


def _is_set_apart(wanted: _Letters, text: _Letters) -> bool:
    """Whether a text has all letters of a value one after the other, forwards, backwards, rot13."""
    letters = wanted.letters
    spellings = [(letters, wanted.text)]
    if letters != letters[::-1]:
        spellings.append((letters[::-1], wanted.text[::-1]))
    if len(letters) >= _LEAST_ROTATED and letters.isascii() and not letters.isdigit():
        spellings.append((codecs.encode(letters, "rot13"), ""))
    for index, (spelling, shown) in enumerate(spellings):
        start = text.letters.find(spelling)
        while start >= 0:
            positions = _positions(text.text)[start : start + len(spelling)]
            if _is_spelling(text.text, positions, shown, letters, plain=index == 0):
                return True
            start = text.letters.find(spelling, start + 1)
    return False


def _is_spelling(
    text: str, positions: tuple[int, ...], shown: str, letters: str, *, plain: bool
) -> bool:
    """Whether the letters at these positions are one value and no chance.

    `shown`: how the value would look there. `plain`: it is neither reversed nor rotated.
    """
    first, last = positions[0], positions[-1]
    # Only scripts with spaces have words that a value could be the middle of.
    if (first and _is_spaced(text[first - 1]) and _is_spaced(text[first])) or (
        last + 1 < len(text) and _is_spaced(text[last + 1]) and _is_spaced(text[last])
    ):
        return False
    gaps = [text[a + 1 : b] for a, b in pairwise(positions) if a != b]
    if any(len(gap) > _WIDEST_GAP for gap in gaps):
        return False
    count, number = len(letters), letters.isdigit()
    if plain and not number and not any(gaps):
        return True  # but for its accents it stands there
    if gaps and all(gaps) and count >= _LEAST_APART + number:
        return True  # B e r l i n, 2.5.1.2
    if number:
        if not plain:
            return count >= _LEAST_JOINED and not any(gaps)
        # 12.50 is no 1250: fewer digits count in groups of three only.
        groups = [index for index, gap in enumerate(gaps, 1) if gap]
        in_thousands = groups == list(range(count % 3 or 3, count, 3)) and not (
            {*"".join(gaps)} - {*" .,'’_"}
        )
        return (count >= _LEAST_APART + 1 and in_thousands) or len(
            letters.strip("0")
        ) > _LEAST_JOINED
    if count >= _LEAST_JOINED:
        # A space may stand only where the value has one: "germ any" does not say Germany.
        spaces = sum(gap.isspace() for gap in gaps)
        return spaces <= len(shown.split()) - 1 if shown else spaces == 0
    # olsO is Oslo; a short word that is another one backwards has its capital in front.
    return (
        not plain
        and text[first : last + 1] == shown
        and not (shown.islower() or shown.isupper() or shown[0].isupper())
    )


def _is_spaced(character: str) -> bool:
    return character.isalnum() and ord(character) < 0x2E80


# --- decoding ----------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _readings(text: str) -> _Readings:
    decoded: list[str] = []
    # Twice: base64 in base64, or an entity in it.
    pending = [text]
    for _ in range(2):
        pending = [piece for whole in pending for piece in _decoded(whole)]
        decoded += pending
    plain = unicodedata.normalize("NFKC", text)
    numbers = [*scaled_numbers(plain), *_roman_numbers(plain)]
    numbers += [int(match[0], 0) for match in _BASE_NUMBER.finditer(plain) if len(match[0]) < 64]
    return _Readings(_letters(text), tuple(dict.fromkeys(decoded)), tuple(numbers))


def _decoded(text: str) -> Iterator[str]:
    """What stands in a text in a code, each piece on its own."""
    for pattern, decode in _CODES:
        for match in pattern.finditer(text):
            try:
                piece = decode(match[0]).decode()
            except (binascii.Error, ValueError):
                continue
            if len(piece) > 1 and piece.isprintable():
                yield piece
    if "%" in text and (piece := urllib.parse.unquote(text)) != text:
        yield piece
    if "&" in text and (piece := html.unescape(text)) != text:
        yield piece
    if _ESCAPE.search(text):
        yield _ESCAPE.sub(_escaped, text)
    if not text.isascii():
        tags = "".join(chr(ord(c) - 0xE0000) for c in text if 0xE0020 <= ord(c) <= 0xE007E)
        # Selectors 1 to 256 stand for the bytes of a text (emoji that carry a message).
        selectors = bytes(_SELECTORS[c] for c in text if c in _SELECTORS)
        yield from (piece for piece in (tags, selectors.decode(errors="ignore")) if len(piece) > 1)


_SELECTORS = {
    **{chr(0xFE00 + number): number for number in range(16)},
    **{chr(0xE0100 + number): 16 + number for number in range(240)},
}


def _escaped(match: re.Match[str]) -> str:
    code = int(match[match.lastindex or 0], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else match[0]


def _from_base64(token: str) -> bytes:
    bare = token.rstrip("=")
    return base64.b64decode(bare.translate(_URL_SAFE) + "=" * (-len(bare) % 4), validate=True)


_URL_SAFE = str.maketrans("-_", "+/")


def _from_base32(token: str) -> bytes:
    bare = token.rstrip("=")
    return base64.b32decode(bare + "=" * (-len(bare) % 8))


def _from_character_codes(token: str) -> bytes:
    return bytes(map(int, re.findall(r"\d+", token)))


def _from_hexadecimal(token: str) -> bytes:
    return bytes.fromhex(re.sub(r"0x|[^0-9a-fA-F]", "", token))


_CODES: tuple[tuple[re.Pattern[str], Callable[[str], bytes]], ...] = (
    (_BASE64, _from_base64),
    (_BASE32, _from_base32),
    (_HEXADECIMAL, _from_hexadecimal),
    (_CHARACTER_CODES, _from_character_codes),
)


# --- numbers -----------------------------------------------------------------------------------


def _roman_numbers(text: str) -> Iterator[float]:
    for match in _ROMAN.finditer(text):
        digits = [_ROMAN_DIGITS[letter] for letter in match[1].lower()]
        value = sum(
            -digit if digit < following else digit
            for digit, following in zip(digits, [*digits[1:], 0], strict=True)
        )
        if value >= _LEAST_ROMAN:
            yield value
