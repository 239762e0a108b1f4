"""Parameters of table tools: those that operations share, and their base class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.slices import TableSlice
from astra.arenas.tables.terse import terse_attribute, terse_parameter
from astra.arenas.tables.units import UNITS, unit_name
from astra.types import Json, Language

_MINIMUM = {"limit": 1, "position": 1, "decimals": 0}


@dataclass(frozen=True, slots=True)
class ToolParameter:
    """One parameter of a tool, as the document and the source need it."""

    name: str
    kind: str
    """JSON Schema type; `key` for a text or a whole number."""
    description: str
    choices: tuple[str, ...] | None = None
    default: Json = None
    required: bool = True

    def schema(self) -> dict[str, Json]:
        """The parameter's JSON Schema."""
        kind: Json = ["string", "integer"] if self.kind == "key" else self.kind
        schema: dict[str, Json] = {"type": kind, "description": self.description}
        if self.choices is not None:
            schema["enum"] = list(self.choices)
        if not self.required:
            schema["default"] = self.default
        if self.name in _MINIMUM:
            schema["minimum"] = _MINIMUM[self.name]
        return schema


@dataclass(frozen=True, slots=True)
class ToolTexts:
    """What a tool's texts are filled in with."""

    language: Language
    entity: str
    """Parameter that names a row. Empty for arithmetic."""
    singular: str
    plural: str
    scope: str
    number: str = ""
    """What the number is called that rows are called by. Empty if they have names."""
    terse: bool = False
    """Say as little as the names allow (`astra.arenas.tables.terse`)."""

    def fill(self, text: Mapping[Language, str], choices: str = "") -> str:
        """The text in the tool's language."""
        return text[self.language].format(
            s=self.singular, p=self.plural, q=self.scope, choices=choices
        )


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """A parameter that an operation's tools have. Required if it has no default."""

    name: str
    """`{entity}` stands for the parameter that names a row."""
    en: str
    zh: str
    kind: Literal["string", "number", "integer", "boolean"] = "string"
    choices: tuple[str, ...] | Callable[[TableSlice], tuple[str, ...]] | None = None
    default: Json = None
    served: Callable[[TableSlice], bool] = lambda slice_: True
    """Whether a slice's data can serve an optional parameter."""

    def of_tool(self, slice_: TableSlice, texts: ToolTexts) -> ToolParameter:
        """The parameter of one tool."""
        choices = self.choices(slice_) if callable(self.choices) else self.choices
        listed = ""
        if self.name in ("attribute", "by"):
            attributes = slice_.by if self.name == "by" else slice_.attributes
            descriptions: list[str] = []
            for attribute in attributes:
                if texts.terse:
                    descriptions += filter(None, [terse_attribute(attribute, texts.language)])
                    continue
                words = [attribute.label] if attribute.label != attribute.name else []
                if attribute.unit in UNITS:
                    unit = unit_name(attribute.unit, texts.language)
                    words.append(unit if texts.language == "zh" else f"in {unit}")
                words = [f" ({', '.join(words)})"] if words else []
                descriptions.append("".join((attribute.name, *words)))
            listed = ", ".join(descriptions)
        default = self.default
        if self.name == "language":
            default = texts.language
            choices = tuple(sorted({texts.language, *slice_.languages}))
        kind: str = self.kind
        described: dict[Language, str] = {"en": self.en, "zh": self.zh}
        if texts.number and self.name in ("{entity}", "first", "second"):
            kind = "key"
            described = {
                language: text.replace("Name", _capitalised(texts.number)).replace(
                    "名称", texts.number
                )
                for language, text in described.items()
            }
        about = slice_.by or slice_.attributes
        if self.name == "value" and kind == "string" and any(a.numbered for a in about):
            kind = "key"
        name = self.name.format(entity=texts.entity)
        description = texts.fill(described, listed)
        return ToolParameter(
            name,
            kind,
            terse_parameter(name, description, listed) if texts.terse else description,
            choices,
            default,
            default is None,
        )


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


ENTITY = OperationParameter("{entity}", "Name of the {s}.", "{s}的名称。")
ATTRIBUTE = OperationParameter(
    "attribute",
    "Which attribute: {choices}.",
    "要查询的属性：{choices}。",
    choices=lambda slice_: tuple(a.name for a in slice_.attributes),
)
BY = OperationParameter(
    "by",
    "Attribute that forms the group: {choices}.",
    "用于分组的属性：{choices}。",
    choices=lambda slice_: tuple(a.name for a in slice_.by),
)
VALUE = OperationParameter(
    "value",
    "Value of the grouping attribute, for example a name or a category.",
    "分组属性的取值，例如某个名称或类别。",
)
COMPARISON = OperationParameter(
    "comparison",
    "Keep values above or below the threshold.",
    "保留高于（above）或低于（below）阈值的项。",
    choices=("above", "below"),
)
THRESHOLD = OperationParameter(
    "threshold",
    "The threshold, in the attribute's own unit.",
    "阈值，采用该属性自身的单位。",
    "number",
)

UNIT = OperationParameter(
    "unit",
    "Unit of a measured value; native keeps the unit of the records.",
    "数值的单位；native 表示沿用记录中的单位。",
    choices=lambda slice_: ("native", *slice_.convertible_units()),
    default="native",
    served=lambda slice_: any(a.unit in UNITS for a in slice_.attributes),
)
LANGUAGE = OperationParameter(
    "language",
    "Language of the answer.",
    "回答使用的语言。",
    default="en",
    served=lambda slice_: bool(slice_.translations),
)
DECIMALS = OperationParameter(
    "decimals",
    "Most decimals of a number in the result.",
    "结果中数值保留的小数位数上限。",
    "integer",
    default=6,
)
DECIMALS_OF_ATTRIBUTES = OperationParameter(
    "decimals",
    DECIMALS.en,
    DECIMALS.zh,
    "integer",
    default=6,
    served=lambda slice_: any(a.kind is ColumnKind.number for a in slice_.attributes),
)
DETAILED = OperationParameter(
    "format",
    "How much is returned beside the answer.",
    "返回内容的详细程度。",
    choices=("plain", "detailed"),
    default="plain",
)
NUMBERED = OperationParameter(
    "format", DETAILED.en, DETAILED.zh, choices=("plain", "numbered"), default="plain"
)
ABSOLUTE = OperationParameter(
    "absolute",
    "Whether to subtract the smaller from the larger, in whatever order they are given.",
    "是否不论先后顺序，一律用较大的减去较小的。",
    "boolean",
    default=False,
)
