"""What tables, their rows and their columns are called in sentences: labels in two languages.

"The employees of A", "the r of A" and "the how old are you of A" are no English. What a header
does not say is not made up: the neutral forms "entry", "figure" and "value" take its place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from astra.arenas.tables.profile.words import (
    chinese,
    english,
    has_han,
    humanised,
    plural,
    singular,
    singular_name,
    unit_in,
    words_of,
)
from astra.types import Language

# --- German ----------------------------------------------------------------------------------


def _bare(word: str) -> str:
    """A German word in letters without dots: `größe`, `groesse` and `grosse` are one."""
    word = word.replace("ß", "ss")
    for written, letter in (
        ("ae", "a"),
        ("oe", "o"),
        ("ue", "u"),
        ("ä", "a"),
        ("ö", "o"),
        ("ü", "u"),
    ):
        word = word.replace(written, letter)
    return word


class _German(NamedTuple):
    words: dict[str, str]
    """Word without dots -> English identifier."""
    also_english: frozenset[str]


@cache
def _german() -> _German:
    content = tomllib.loads(Path(__file__).with_name("german.toml").read_text("utf-8"))
    words = {
        _bare(word): translated
        for translated, spellings in content["words"].items()
        for word in spellings.split()
    }
    return _German(words, frozenset(content["also_english"].split()))


def is_german(names: Iterable[str]) -> bool:
    """Whether one of a table's names has a word that is German and nothing else."""
    german = _german()
    words = {_bare(word) for name in names for word in name.split("_")}
    return not words.isdisjoint(german.words.keys() - german.also_english)


def _from_german(name: str) -> str | None:
    """The English identifier for a German one. None if a word of it is unknown."""
    translated = [_german_word(_bare(word)) for word in name.split("_")]
    if not all(translated):
        return None
    first, *rest = [word for word in translated if word]
    # `anzahl_kunden` counts them.
    return (
        "_of_".join((first, "_".join([*rest[:-1], _plural_name(rest[-1])])))
        if (first == "number" and rest)
        else "_".join((first, *rest))
    )


def _german_word(word: str) -> str | None:
    words = _german().words
    if word in words or word.isdigit():
        return words.get(word, word)
    # A compound: `kundenname`, `umsatzzahl`.
    for cut in range(3, len(word) - 2):
        head, tail = words.get(word[:cut].removesuffix("s")) or words.get(word[:cut]), word[cut:]
        if head and tail in words:
            last = words[tail]
            return f"number_of_{_plural_name(head)}" if last == "number" else f"{head}_{last}"
    return None


def _plural_name(name: str) -> str:
    *words, last = name.split("_")
    return "_".join([*words, plural(last)])


# --- columns ---------------------------------------------------------------------------------

_QUESTION = re.compile(r"(?P<question>[^?\"]{8,}\?)\s*(?:[(\[](?P<item>[^)\]\"?]{1,60})[)\]])?\s*")
_LONGEST_QUESTION = 80
_SHORT = re.compile(r"[a-z]\w?|\d\w{1,2}", re.ASCII)
_TOTALS = ("total", "average", "mean", "maximum", "minimum", "annual", "yearly", "monthly",
           "weekly", "daily")  # fmt: skip
_COUNTED = re.compile(r"(?:(?:number|no|nr|count|n) of|number|nr|n|count) (?P<things>.+)")


def column_labels(
    name: str, refers_to: str | None = None, *, german: bool = False
) -> dict[Language, str]:
    """What a column is called in a sentence, from its identifier without the unit.

    `refers_to`: what a row of the table is called that it points to, if it does.
    `german`: names of its table are German, so this one may be.
    """
    if has_han(name):
        translated = english(name)
        return {"en": humanised(translated) if translated else name, "zh": name}
    base = (_from_german(name) if german else None) or name
    base = re.sub(r"_(no|nr)$", "_number", base)
    label = humanised(base)
    if label.rpartition(" ")[2] in words_of("prepositions") and " " in label:
        # "The created by of A" is no English: "the created-by user of A".
        label = f"{label.replace(' ', '-')} {refers_to or 'entry'}"
    elif refers_to is not None:
        *words, last = label.split(" ")
        label = " ".join([*words, singular(last)])
    counted = chinese(singular_name(base.removeprefix("number_of_")))
    if base.startswith("number_of_") and counted:
        return {"en": label, "zh": chinese(base) or f"{counted}数量"}
    return {"en": label, "zh": chinese(base) or humanised(name)}


def spoken_labels(
    labels: dict[Language, str], header: str, *, quantity: bool, whole: bool, unit: str | None
) -> dict[Language, str]:
    """The labels of a column that points nowhere, such that "the … of A" is a phrase.

    `header`: as it stands in the file. `quantity`: it holds numbers that count or measure,
    `whole` ones.
    """
    label = labels["en"]
    header = " ".join(header.split())
    asked = _QUESTION.fullmatch(header) if header.isprintable() else None
    if asked and " " in asked["question"].strip() and len(label.split()) > 2:
        item, question = asked["item"], asked["question"].strip().removesuffix("?")
        if item:
            return {**labels, "en": f"answer on {_quoted(item)}"}
        if len(question) <= _LONGEST_QUESTION:
            return {**labels, "en": f'answer to "{question}"'}
    if has_han(label):
        return labels
    *words, last = label.split(" ")
    if _SHORT.fullmatch(last) and last not in (*words_of("acronyms"), *words_of("prepositions")):
        if words == ["column"]:
            words = []  # of a header that begins with a digit
        # `km` is a unit, and no abbreviation.
        spelled = last if unit_in("", f"x_{last}").unit == last else last.upper()
        short = " ".join([*words, spelled])
        chinese_too = labels["zh"].casefold() == label.casefold()
        return {
            **labels,
            "en": f"{short} {'value' if quantity else 'entry'}",
            "zh": f"{short}值" if chinese_too else labels["zh"],
        }
    if quantity and whole and unit is None and (counted := _COUNTED.fullmatch(label)):
        things = counted["things"]
        if _is_plural(things.rpartition(" ")[2]):
            return {**labels, "en": f"number of {things}"}
    if not _is_plural(last):
        return labels
    if not quantity:
        return {**labels, "en": f"{label} entry"}
    if not whole or unit is not None or last in words_of("amounts"):
        return {**labels, "en": f"{label} figure"}
    first = words[0] if words and words[0] in _TOTALS else ""
    things = label.removeprefix(first).strip()
    return {**labels, "en": f"{first} number of {things}".strip()}


def _quoted(item: str) -> str:
    item = item.strip()
    if re.fullmatch(r"[A-Z]?[a-z]+", item):
        return item.lower()
    return item if item.isalnum() else f'"{item}"'


def _is_plural(word: str) -> bool:
    """Whether a word in lower case is an English plural."""
    return singular(word) != word and re.search("[aeiouy]", word[:-1]) is not None


# --- rows ------------------------------------------------------------------------------------


def table_labels(
    name: str, *, german: bool = False
) -> tuple[dict[Language, str], dict[Language, str]]:
    """What one row of a table is called, and several."""
    if german and _from_german(name) is None:
        # A plural by English rules would be none, and its singular isn't known.
        labels = column_labels(name)
        return labels, dict(labels)
    labels = column_labels(name if german else singular_name(name), german=german)
    *words, last = labels["en"].split(" ")
    many = " ".join([*words, plural(last)]) if labels["en"].isascii() else labels["en"]
    return labels, {"en": many, "zh": labels["zh"]}


def row_labels(
    table: str, naming: str | None, *, german: bool = False
) -> tuple[dict[Language, str], dict[Language, str]] | None:
    """What rows are called after the column that names them: those of `sheet1` are companies.

    None where the table's own name says it, or the column's does not.
    """
    if naming is None:
        return None
    one = column_labels(naming, german=german)["en"]
    own = table_labels(table, german=german)[0]["en"].rpartition(" ")[2]
    things = words_of("things")
    if one not in things or own in things:
        return None
    return table_labels(naming, german=german)
