"""Attributes, groups and entities: the parts of a table that questions and tools speak of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from astra.arenas.tables.naming import row_noun, row_parameter
from astra.arenas.tables.schema import ColumnKind, Schema, Table
from astra.types import Language

ArenaSplit = Literal["train", "test"]

_NOT_AVERAGEABLE = re.compile(
    r"(?:^|[_ ])(?:year|offset|latitude|longitude|lat|lon|rank|index|id|code)(?:[_ ]|$)"
    r"|年份|年度|编号|名次|排名|时差|纬度|经度"
)
_NOT_ADDITIVE = re.compile(
    r"(?:^|[_ ])(?:rate|ratio|pct|percent|percentage|share|price|score|rating|age|temperature"
    r"|elevation|altitude|height|depth|density|answer|average|mean|median|min|max|maximum|minimum)"
    r"(?:[_ ]|$)|海拔|高度|深度|温度|价格|单价|评分|年龄|密度|比例|百分|平均|最高|最低|最大|最小"
    r"|率$"
)
_DATE_WORD = re.compile(
    r"\b(?:date|day|time|birthday|deadline|timestamp|since|until)\b|日|时|期", re.IGNORECASE
)
_SURROGATE = re.compile(r"(?:^|_)(?:id|ids|key|uuid|guid|idx|index|rowid)$")
_KEY_SUFFIX = re.compile(r"_(code|id|key|no|name|iso2|iso3|iata|icao)$")


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column as tools and questions speak of it."""

    name: str
    """Identifier in tools: the column's name, without `_code`, `_id` … for foreign keys."""
    column: str
    kind: ColumnKind
    label: str
    unit: str | None
    references: str | None
    """Table that a foreign key points to."""
    unique: bool
    """Every value stands for one row, so rows can be looked up by it."""
    groups: bool
    """Several rows share a value, so rows can be grouped by it."""
    numbered: bool = False
    """Its values are whole numbers that identify; only here they are kept as texts."""
    surrogate: bool = False
    """Its values mean something to the tables alone, so nobody asks for them."""

    @property
    def numeric(self) -> bool:
        return self.kind in (ColumnKind.integer, ColumnKind.number)

    @property
    def averageable(self) -> bool:
        """Means are meaningful; those of years are not."""
        return self.numeric and not _NOT_AVERAGEABLE.search(f"{self.column} {self.label}")

    @property
    def additive(self) -> bool:
        """Sums are meaningful; those of elevations and percentages are not."""
        return (
            self.averageable
            and self.unit != "%"
            and not _NOT_ADDITIVE.search(f"{self.column} {self.label}")
        )


@dataclass(frozen=True, slots=True)
class RowGroup:
    """All rows of a table with one value of one attribute."""

    table: str
    attribute: str
    value: str
    rows: tuple[int, ...]
    """Row numbers, in file order."""
    row: int | None
    """Row of the referenced table, for a foreign key."""
    subject: str
    """Subject that the train/test split is decided on."""

    @property
    def size(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class RowEntity:
    """A row with a name that no other row of its table has."""

    table: str
    row: int
    name: str


class TableView:
    """One table in one language."""

    def __init__(self, table: Table, attributes: tuple[Attribute, ...], noun: str) -> None:
        self.table = table
        self.attributes = attributes
        self.by_name = {attribute.name: attribute for attribute in attributes}
        self.noun = noun
        """ASCII identifier for one row, in the names of tools."""
        self.parameter = row_parameter(noun, self.by_name)
        """Parameter and result field that hold a row's name."""

    @property
    def named(self) -> bool:
        return self.table.naming is not None

    @cached_property
    def numeric(self) -> tuple[Attribute, ...]:
        return tuple(a for a in self.attributes if a.numeric)

    @cached_property
    def rankable(self) -> tuple[Attribute, ...]:
        """Attributes with a highest and a lowest value."""
        return tuple(a for a in self.attributes if a.numeric or a.kind is ColumnKind.date)


def _date_label(label: str, language: Language) -> str:
    """A date's label that says that it is one."""
    if language == "zh":
        return label if _DATE_WORD.search(label) else f"{label}日期"
    # "The since of A" and "the shipped-at entry of A" are no English.
    label = label.removesuffix(" entry")
    if label.endswith(("since", "until")):
        return f"{label.replace(' ', '-')} date"
    return label if _DATE_WORD.search(label) else f"{label} date"


def table_view(table: Table, schema: Schema, language: Language, long: frozenset[str]) -> TableView:
    """The view of a table. `long`: text columns whose values are too long to ask about."""
    attributes: list[Attribute] = []
    keys = {key.column: key for key in table.foreign_keys}
    for column in table.columns:
        # The naming column is the row itself, and a variant is another column's text.
        named = column.name in (table.naming, table.given_name)
        if column.variant_of or named or column.distinct == 0:
            continue
        if column.kind in (ColumnKind.other, ColumnKind.boolean):
            continue
        key = keys.get(column.name)
        references = None
        if key is not None and schema.table(key.table).naming is not None:
            references = key.table
        if references is None and column.name in long:
            continue
        label = column.labels.get(language) or column.name
        if column.kind is ColumnKind.date:
            label = _date_label(label, language)
        numeric = column.kind in (ColumnKind.integer, ColumnKind.number)
        # Whole numbers that identify things are text: the highest of them means nothing.
        identifies = numeric and not column.quantity
        # A flag, or a code with decimals, answers no question.
        if (
            identifies
            and references is None
            and (column.distinct <= 2 or column.kind is ColumnKind.number)
        ):
            continue
        kind = ColumnKind.text if references is not None or identifies else column.kind
        filled = table.rows - column.nulls
        name = _KEY_SUFFIX.sub("", column.name) if references else column.name
        # `country_code` becomes `country` only where nothing else is called so.
        if any(other.name == name for other in attributes) or (
            name != column.name and any(other.name == name for other in table.columns)
        ):
            name = column.name
        attributes.append(
            Attribute(
                name=name,
                column=column.name,
                kind=kind,
                label=label,
                unit=column.unit,
                references=references,
                unique=kind is ColumnKind.text
                and column.distinct == filled
                and filled > 1
                # Nobody asks which customer has the customer ID 17.
                and not (identifies and references is None and _SURROGATE.search(column.name)),
                # Bare numbers are never asked for by value, so nothing is grouped by them.
                groups=kind is ColumnKind.text
                and 1 < column.distinct <= filled / 2
                and (references is not None or not identifies),
                numbered=schema.table(references).numbered if references else identifies,
                surrogate=references is None
                and (
                    _SURROGATE.search(column.name) is not None
                    or key is not None
                    or (identifies and column.name == table.key)
                ),
            )
        )
    return TableView(table, tuple(attributes), row_noun(schema, table))
