"""Names and descriptions of table tools, in English and Chinese.

No digits in descriptions: a number there could be taken for a leaked answer.
"""

from __future__ import annotations

from astra.types import Language

VERBS: dict[str, tuple[str, ...]] = {
    "lookup": ("get_{s}", "lookup_{s}", "fetch_{s}_info", "{s}_attribute"),
    "find": ("find_{s}", "search_{s}", "identify_{s}"),
    "list": ("list_{p}", "browse_{p}", "show_{p}"),
    "filter": ("filter_{p}", "select_{p}", "query_{p}"),
    "count": ("count_{p}", "number_of_{p}"),
    "count_where": ("count_{p}_where", "tally_{p}"),
    "rank": ("rank_{p}", "top_{s}", "extreme_{s}"),
    "aggregate": ("aggregate_{p}", "summarise_{p}", "{p}_statistics"),
    "compare": ("compare_{p}", "{s}_difference", "contrast_{p}"),
    "difference": ("subtract_numbers", "calculate_difference", "number_difference"),
    "days_between": ("days_between", "date_difference", "count_days"),
    "convert": ("convert_{q}", "{q}_converter"),
}

DESCRIPTIONS: dict[str, dict[Language, str]] = {
    "lookup": {
        "en": "Returns one attribute of one {s}, found by its name.",
        "zh": "按名称查询某个{s}的一项属性。",
    },
    "find": {
        "en": "Finds the {s} that has a given value of an identifying attribute.",
        "zh": "根据某项唯一属性的取值反查对应的{s}。",
    },
    "list": {
        "en": "Lists the names of all {p} that share a given value of an attribute.",
        "zh": "列出某项属性为给定取值的所有{p}的名称。",
    },
    "filter": {
        "en": "Lists the {p} with a given value of one attribute and another above or below "
        "a threshold.",
        "zh": "列出某项属性为给定取值、且另一项数值高于或低于阈值的{p}。",
    },
    "count": {
        "en": "Counts the {p} that share a given value of an attribute.",
        "zh": "统计某项属性为给定取值的{p}数量。",
    },
    "count_where": {
        "en": "Counts the {p} with a given value of one attribute and another above or below "
        "a threshold.",
        "zh": "统计某项属性为给定取值、且另一项数值高于或低于阈值的{p}数量。",
    },
    "rank": {
        "en": "Returns the {s} with the highest or lowest attribute among the {p} of a group. "
        "For dates and years, highest means latest.",
        "zh": "在一组{p}中找出某项属性最高或最低的{s}。对日期和年份而言，highest 表示最晚。",
    },
    "aggregate": {
        "en": "Computes a sum, mean, minimum or maximum of a numeric attribute over a group of "
        "{p}.",
        "zh": "计算一组{p}某项数值属性的总和、平均值、最小值或最大值。",
    },
    "compare": {
        "en": "Subtracts a numeric attribute of the second {s} from that of the first.",
        "zh": "用第一个{s}的某项数值减去第二个{s}的同一数值。",
    },
    "difference": {
        "en": "Subtracts one number from another.",
        "zh": "计算两个数之差（被减数减去减数）。",
    },
    "days_between": {
        "en": "Counts the days from one date to another.",
        "zh": "计算从一个日期到另一个日期相隔的天数。",
    },
    "convert": {
        "en": "Converts a number from one unit of {q} to another.",
        "zh": "在不同的计量单位之间换算一个数值。",
    },
}

PARAMETERS: dict[str, dict[Language, str]] = {
    "entity": {"en": "Name of the {s}.", "zh": "{s}的名称。"},
    "attribute": {"en": "Which attribute: {choices}.", "zh": "要查询的属性：{choices}。"},
    "find value": {
        "en": "The value that the attribute must have.",
        "zh": "该属性必须等于的取值。",
    },
    "by": {"en": "Attribute that forms the group: {choices}.", "zh": "用于分组的属性：{choices}。"},
    "value": {
        "en": "Value of the grouping attribute, for example a name or a category.",
        "zh": "分组属性的取值，例如某个名称或类别。",
    },
    "comparison": {
        "en": "Keep values above or below the threshold.",
        "zh": "保留高于（above）或低于（below）阈值的项。",
    },
    "threshold": {
        "en": "The threshold, in the attribute's own unit.",
        "zh": "阈值，采用该属性自身的单位。",
    },
    "order": {
        "en": "highest or lowest value first.",
        "zh": "取最高（highest）还是最低（lowest）。",
    },
    "function": {"en": "What to compute.", "zh": "要计算的统计量。"},
    "first": {"en": "Name of the first {s}.", "zh": "第一个{s}的名称。"},
    "second": {"en": "Name of the second {s}.", "zh": "第二个{s}的名称。"},
    "minuend": {"en": "The number to subtract from.", "zh": "被减数。"},
    "subtrahend": {"en": "The number to subtract.", "zh": "减数。"},
    "start": {"en": "First date, as YYYY-MM-DD.", "zh": "起始日期，格式为 YYYY-MM-DD。"},
    "end": {"en": "Last date, as YYYY-MM-DD.", "zh": "结束日期，格式为 YYYY-MM-DD。"},
    "number": {"en": "The number to convert.", "zh": "要换算的数值。"},
    "from_unit": {"en": "Unit of the given number.", "zh": "给定数值的单位。"},
    "to_unit": {"en": "Unit of the result.", "zh": "结果的单位。"},
    "unit": {
        "en": "Unit of a measured value; native keeps the unit of the records.",
        "zh": "数值的单位；native 表示沿用记录中的单位。",
    },
    "decimals": {
        "en": "Most decimals of a number in the result.",
        "zh": "结果中数值保留的小数位数上限。",
    },
    "language": {"en": "Language of the answer.", "zh": "回答使用的语言。"},
    "format": {
        "en": "How much is returned beside the answer.",
        "zh": "返回内容的详细程度。",
    },
    "match_case": {
        "en": "Whether upper and lower case must agree.",
        "zh": "是否区分大小写。",
    },
    "limit": {"en": "Most names to return.", "zh": "最多返回的名称数量。"},
    "list order": {"en": "How the names are sorted.", "zh": "名称的排序方式。"},
    "position": {
        "en": "Place in the ranking, counted from the top.",
        "zh": "名次，从首位开始计数。",
    },
    "absolute": {
        "en": "Whether to drop the sign of the result.",
        "zh": "是否取结果的绝对值。",
    },
    "inclusive": {
        "en": "Whether the last day counts, too.",
        "zh": "是否把最后一天也计算在内。",
    },
}
