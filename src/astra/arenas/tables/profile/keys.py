"""Chooses a table's key, the column that names its rows, and its columns in other languages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import duckdb

from astra.arenas.tables.load.tables import LoadedTable
from astra.arenas.tables.profile.quantities import not_a_quantity
from astra.arenas.tables.profile.statistics import ColumnStats
from astra.arenas.tables.profile.words import english, has_han, singular_name
from astra.arenas.tables.schema import ColumnKind, TableOptions
from astra.arenas.tables.sql import quoted
from astra.errors import ConfigError
from astra.types import Language

# --- variants --------------------------------------------------------------------------------

# Longer marks first: `_zh_cn` must not be read as `_cn`.
_LANGUAGES: dict[str, Language] = {
    "zh_hans": "zh",
    "zh_cn": "zh",
    "zh": "zh",
    "cn": "zh",
    "chn": "zh",
    "chinese": "zh",
    "中文": "zh",
    "en": "en",
    "eng": "en",
    "english": "en",
    "英文": "en",
}


class LanguageVariant(NamedTuple):
    """A column whose name says that it is another one in a language."""

    base: str
    language: Language


def variants(stats: Mapping[str, ColumnStats]) -> dict[str, LanguageVariant]:
    """Columns that are others in another language: name -> which, in which language.

    `name_zh` of `name`, or of `name_en` where there is no `name`.
    """
    by_base: dict[str, dict[Language, str]] = {}
    for name, column in stats.items():
        marked = _marked(name, stats)
        if marked is None or column.kind is not ColumnKind.text or not column.filled:
            continue
        # The letters must agree with the name: a column `zh` may be one of codes.
        if (column.han >= column.filled / 2) != (marked.language == "zh"):
            continue
        by_base.setdefault(marked.base, {}).setdefault(marked.language, name)
    languages: dict[str, LanguageVariant] = {}
    for base, versions in by_base.items():
        if base in stats:
            if stats[base].kind is ColumnKind.text:
                languages |= {name: LanguageVariant(base, lang) for lang, name in versions.items()}
        elif len(versions) == 2:
            languages[versions["zh"]] = LanguageVariant(versions["en"], "zh")
    return languages


def _marked(name: str, stats: Mapping[str, ColumnStats]) -> LanguageVariant | None:
    """What a name says: `name_zh`, `zh_name`, `中文名称`, or `名称` where there is `name`."""
    for mark, language in _LANGUAGES.items():
        for pattern in (rf"(.+)_{mark}", rf"{mark}_(.+)"):
            if match := re.fullmatch(pattern, name):
                return LanguageVariant(match.group(1), language)
        if has_han(mark) and name.startswith(mark) and len(name) > len(mark):
            rest = name.removeprefix(mark)
            return LanguageVariant(
                _existing(rest, stats) or _existing("名称", stats) or rest, language
            )
    if has_han(name) and (base := english(name)) in stats:
        return LanguageVariant(str(base), "zh")
    return None


def _existing(name: str, stats: Mapping[str, ColumnStats]) -> str | None:
    """The name, or its English translation, where a column is called so."""
    if name in stats:
        return name
    translated = english(name)
    return translated if translated in stats else None


# --- key -------------------------------------------------------------------------------------

_KEYS = ("id", "code", "key", "iso2", "iso", "iso3", "iata", "icao", "uuid", "isbn", "编号", "代码")


_OWN_KEYS = frozenset(
    ("_id", "_code", "_key", "_no", "_nr", "_number", "编号", "代码", "编码", "号", "号码", "单号")
)
"""What follows a table's name in its key: `order_number`, `订单号`."""
_NO_KEY = 40
"""Rank of names that don't sound like a key at all."""


def choose_key(
    table: LoadedTable, stats: Mapping[str, ColumnStats], options: TableOptions, notes: list[str]
) -> str | None:
    """The user's, else the declared, else the likeliest column without nulls and repetitions."""
    if options.key is not None:
        if not stats[options.key].key:
            raise ConfigError(
                f"options, tables.{table.name}.key: {options.key!r} holds nulls or repeated "
                f"values ({table.source}); name a column that is unique"
            )
        return options.key
    if table.key is not None:
        if stats[table.key].key:
            return table.key
        notes.append(f"declared key {table.key!r} holds nulls or repeated values; not used")
    one = singular_name(table.name)
    fit = [
        s
        for s in stats.values()
        if s.key
        and s.kind in (ColumnKind.text, ColumnKind.integer)
        # Attendances that happen to differ identify no game.
        and not (
            _key_rank(s.name, one) == _NO_KEY
            and not_a_quantity(s, None) is None
            and s.kind is ColumnKind.integer
        )
    ]
    return min(fit, key=lambda s: _key_rank(s.name, one)).name if fit else None


_LEADING = 6
"""Columns, the first ones without nulls, that are tried together."""


def composite_key(
    table: LoadedTable, stats: Mapping[str, ColumnStats], connection: duckdb.DuckDBPyConnection
) -> tuple[str, ...] | None:
    """Two or three columns that together identify a row. None if there are none."""
    fit = [
        s.name
        for s in stats.values()
        if s.nulls == 0 and s.distinct > 1 and s.kind not in (ColumnKind.number, ColumnKind.other)
    ][:_LEADING]
    # Keys come first in a table, and what they identify behind them.
    tried = sorted(
        (names for size in (2, 3) for names in combinations(fit, size)),
        key=lambda names: (fit.index(names[-1]), len(names)),
    )
    for names in tried:
        # Fewer combinations than rows can't tell all rows apart.
        if math.prod(stats[name].distinct for name in names) < table.rows:
            continue
        columns = ", ".join(map(quoted, names))
        row = connection.execute(
            f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM {quoted(table.name)})"
        ).fetchone()
        if row is not None and row[0] == table.rows:
            return names
    return None


def _key_rank(name: str, one: str) -> int:
    """How little a name sounds like a key; ties go to the first column."""
    if name in _KEYS:
        return _KEYS.index(name)
    if name.startswith(one) and name.removeprefix(one) in _OWN_KEYS:
        return 0
    if re.search(r"_(id|code|key|iso2|iso3|iata|icao)$|(编号|代码|单号)$", name):
        return 20
    if _name_rank(name, one) < 9:
        return 30
    return _NO_KEY


# --- naming ----------------------------------------------------------------------------------

_NAMES = (
    "name",
    "full_name",
    "名称",
    "姓名",
    "名字",
    "title",
    "标题",
    "label",
    "display_name",
    "english_name",
    "common_name",
)
_NEVER = re.compile(
    r"(^|_)(description|desc|comment|comments|note|notes|text|summary|abstract|url|link|website|"
    r"homepage|email|mail|e_mail|address|image|photo|phone|path|file|描述|备注|网址|邮箱|地址)(_|$)"
)
_PARTS = re.compile(
    r"^(first|last|middle|given|family|sur|fore|user|file|host|nick)_?name$"
    r"|^name_(first|last|given|middle|family)$|^(vor|nach)name$|^(prenom|prénom|apellidos?|姓|名)$"
)
_GIVEN = (
    "first_name", "given_name", "forename", "firstname", "givenname", "name_first", "name_given",
    "vorname", "prenom", "prénom", "名", "first", "name",
)  # fmt: skip
_FAMILY = (
    "last_name", "family_name", "surname", "lastname", "familyname", "name_last", "name_family",
    "nachname", "nom", "apellido", "apellidos", "姓", "last",
)  # fmt: skip
_JOBS = re.compile(r"(^|_)(job|contact|position|role)_?title$|职称|职位|职务")
_CODED = re.compile(r"(^|_)(id|code|key|uuid|hash|sku)$")
_LONGEST_NAME = 60
"""Mean characters of a text that can still be a name."""


def _name_rank(name: str, one: str) -> int:
    """How little a column sounds like the name of a row."""
    if name in ("name", "名称") or name in (f"{one}_name", f"{one}_title", f"{one}_label"):
        return 0
    if name == one:
        return 1
    if name in _NAMES:
        return 2
    if name in ("name_en", "title_en", "name_zh", "title_zh"):
        return 3
    if name.endswith(("_name", "_title", "名称", "名")) and not _PARTS.match(name):
        return 8
    return 9


class NamingColumns(NamedTuple):
    """The columns that name a table's rows."""

    naming: str | None
    given_name: str | None = None
    """Column of first names, where `naming` holds last names."""


def choose_naming(
    table: LoadedTable,
    stats: Mapping[str, ColumnStats],
    not_names: Sequence[str],
    options: TableOptions,
    key: str | None,
) -> NamingColumns:
    """The user's, else a column called as names are, else the first and last names of people, else
    the most telling short texts, else the number that is the table's key.

    `not_names`: columns that are about other rows (foreign keys, variants) or ignored.
    """
    if options.naming is not None:
        if stats[options.naming].kind not in (ColumnKind.text, ColumnKind.integer):
            raise ConfigError(
                f"options, tables.{table.name}.naming: {options.naming!r} is of kind "
                f"{stats[options.naming].kind.value!r}; name a column of texts or whole numbers"
            )
        return NamingColumns(options.naming)
    one = singular_name(table.name)
    people = _first_and_last(stats, one)
    fit = [
        s
        for s in stats.values()
        if s.name not in not_names
        and s.kind is ColumnKind.text
        and s.filled > 0
        and s.mean_length <= _LONGEST_NAME
        and s.links < s.filled / 2
        and s.figures < s.filled / 2
        and not _JOBS.search(s.name)
        # Beside first and last names a title is a job, and a name is one of the two.
        and not (people and s.name in (*people, "title", "label", "标题"))
        and not _NEVER.search(s.name)
    ]
    called = [s for s in fit if _name_rank(s.name, one) < 9 and s.distinct >= s.filled / 2]
    if called:
        return NamingColumns(min(called, key=lambda s: _name_rank(s.name, one)).name)
    if people and not set(people) & set(not_names):
        return NamingColumns(people.naming, people.given_name)
    # Names may repeat now and then, but a category such as "city" or "river" repeats always.
    telling = [
        s
        for s in fit
        if s.distinct >= 0.9 * s.filled
        and s.filled > s.rows / 2
        # First names alone name nobody.
        and _own(s.name, one) not in _GIVEN
    ]
    worded = [s for s in telling if s.codes <= s.filled / 2 and not _CODED.search(s.name)]
    if telling:
        return NamingColumns(max(worded or telling, key=lambda s: s.distinct).name)
    # An order or an invoice has no other name than its number.
    numbered = key is not None and key not in not_names and stats[key].kind is ColumnKind.integer
    if key is not None and numbered and (key == table.key or _key_rank(key, one) < 30):
        return NamingColumns(key)
    return NamingColumns(None)


def _own(name: str, one: str) -> str:
    """A column's name without that of its table: `employee_first_name` is `first_name`."""
    return name.removeprefix(f"{one}_")


def _first_and_last(stats: Mapping[str, ColumnStats], one: str) -> NamingColumns | None:
    """The columns of people's last and first names. None if one of them is missing."""
    texts = {_own(n, one): n for n, s in stats.items() if s.kind is ColumnKind.text and s.filled}
    family = next((texts[name] for name in _FAMILY if name in texts), None)
    given = next((texts[name] for name in _GIVEN if name in texts), None)
    if family is None or given is None:
        return None
    # `name` beside `last_name` is a first name only if it does not hold the last one, too.
    whole = _own(given, one) == "name" and stats[given].mean_length > stats[family].mean_length + 4
    return None if whole else NamingColumns(family, given)
