"""Chinese words for plans."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from astra.arenas.tables.schema import Kind
from astra.arenas.tables.steps import Known, Step
from astra.arenas.tables.units import unit_name

_ORDINALS = "一二三四五六七八九"

_FUNCTIONS = {
    "sum": ("{label}之和", "{label}总和", "{label}合计"),
    "mean": ("平均{label}", "{label}的平均值"),
    "maximum": ("{label}的最大值", "最高的{label}数值"),
    "minimum": ("{label}的最小值", "最低的{label}数值"),
}

_OPENINGS = (
    "",
    "",
    "",
    "",
    "请帮我查一下：",
    "请问，",
    "我在准备一份报告，想知道：",
    "麻烦核实一下：",
    "根据记录，",
    "我想了解：",
    "朋友问我一个问题：",
)

_CLOSINGS = ("", "", "", "", "谢谢！", "请用工具查询。", "简短回答即可。")


class Chinese:
    """Implements `grammar.Words`."""

    def known(self, subject: Known, singular: str | None, rng: random.Random) -> str:
        if singular is None:
            return subject.text
        return rng.choice((subject.text, subject.text, f"{singular}“{subject.text}”"))

    def result(self, step: Step, number: int, singular: str | None) -> str:
        what = singular or {"number": "数值", "date": "日期", "list": "列表"}.get(
            step.kind, step.attribute.label if step.attribute else "结果"
        )
        ordinal = f"第{_ORDINALS[number]}步" if number < len(_ORDINALS) else "上一步"
        return f"{ordinal}得到的{what}"

    def noun(
        self, step: Step, nouns: Mapping[str, str], singular: str, plural: str, rng: random.Random
    ) -> str:
        label = step.attribute.label if step.attribute else ""
        match step.operation:
            case "lookup":
                (subject,) = nouns.values()
                return f"{subject}的{label}"
            case "find":
                value = nouns["value"]
                return rng.choice(
                    (f"{label}是{value}的{singular}", f"{label}为{value}的{singular}")
                )
            case "rank":
                return self._rank(step, nouns["value"], singular, plural, rng)
            case "compare":
                a, b = nouns["first"], nouns["second"]
                return f"{a}的{label}比{b}的{label}多出的数值"
            case "difference":
                return f"{nouns['minuend']}与{nouns['subtrahend']}之差"
            case "days_between":
                return f"{nouns['start']}与{nouns['end']}之间相隔的天数"
            case "convert":
                return f"{nouns['value']}换算成{unit_name(step.unit, 'zh')}后的数值"
            case _:
                return self._group(step, nouns["value"], plural, rng)

    def _members(self, step: Step, value: str, plural: str, rng: random.Random) -> str:
        by = step.by.label if step.by else ""
        return rng.choice((f"{by}为{value}的{plural}", f"{by}是{value}的{plural}"))

    def _rank(self, step: Step, value: str, singular: str, plural: str, rng: random.Random) -> str:
        assert step.attribute is not None
        highest = step.words["order"] == "highest"
        if step.attribute.kind is Kind.date:
            word = "最晚" if highest else "最早"
        else:
            word = rng.choice(("最高", "最大") if highest else ("最低", "最小"))
        members = self._members(step, value, plural, rng)
        label = step.attribute.label
        return rng.choice(
            (
                f"{members}中{label}{word}的{singular}",
                f"在{members}里，{label}{word}的那个{singular}",
            )
        )

    def _group(self, step: Step, value: str, plural: str, rng: random.Random) -> str:
        by = step.by.label if step.by else ""
        if "comparison" in step.words:
            members = f"{by}为{value}且{self._condition(step)}的{plural}"
        else:
            members = self._members(step, value, plural, rng)
        if step.operation == "aggregate":
            assert step.attribute is not None
            template = rng.choice(_FUNCTIONS[step.words["function"]])
            return f"所有{members}的{template.format(label=step.attribute.label)}"
        if step.operation in ("count", "count_where"):
            return f"{members}的数量"
        return f"{members}"

    def _condition(self, step: Step) -> str:
        assert step.attribute is not None
        unit = unit_name(step.attribute.unit, "zh") if step.attribute.unit else ""
        side = "高于" if step.words["comparison"] == "above" else "低于"
        return f"{step.attribute.label}{side}{step.words['threshold']}{unit}"

    def ask(self, step: Step, noun: str, singular: str | None, rng: random.Random) -> str:
        unit = ""
        if step.unit is not None and step.operation != "convert":
            unit = f"（单位：{unit_name(step.unit, 'zh')}）"
        if step.kind == "list":
            frames = ("{}有哪些？", "请列出{}。", "列出全部{}。")
        elif singular is not None:
            frames = ("{}是哪个？", "{}叫什么名字？", "请找出{}。", "{}是什么？")
        elif step.kind == "date":
            frames = ("{}是哪一天？", "请查出{}。", "{}是什么日期？")
        elif step.kind == "number":
            frames = ("{}是多少{unit}？", "请给出{}{unit}。", "{}{unit}是多少？")
        else:
            frames = ("{}是什么？", "请告诉我{}。", "请查出{}。")
        return rng.choice(frames).format(noun, unit=unit)

    def measured(self, step: Step, noun: str) -> str:
        if step.unit is None or step.operation == "convert":
            return noun
        return f"{noun}（单位：{unit_name(step.unit, 'zh')}）"

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str:
        parts = "、".join(nouns[:-1]) + f"和{nouns[-1]}"
        frames = {
            "list": ("{}分别是什么？", "请分别给出{}。", "请依次告诉我{}。"),
            "sum": ("{}之和是多少？", "{}加起来是多少？"),
            "difference": ("{}相差多少？", "{}之间的差是多少？"),
            "maximum": ("{}当中最大的数值是多少？", "{}里哪个数值最大，是多少？"),
            "minimum": ("{}当中最小的数值是多少？", "{}里哪个数值最小，是多少？"),
        }[joined]
        return rng.choice(frames).format(parts)

    def dress(self, question: str, rng: random.Random) -> str:
        return rng.choice(_OPENINGS) + question + rng.choice(_CLOSINGS)
