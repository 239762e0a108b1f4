"""Chinese words for plans."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from astra.arenas.tables.questions.measures import is_year, measure_of
from astra.arenas.tables.steps import PlanStep, QuestionValue
from astra.arenas.tables.units import unit_name

if TYPE_CHECKING:
    from astra.arenas.tables.questions.grammar import RowNames

_ORDINALS = "一二三四五六七八九"
_STEMS = "甲乙丙丁戊己庚辛壬"

_FUNCTIONS = {
    "sum": ("{}之和", "{}总和", "{}合计"),
    "mean": ("平均{}", "{}的平均值"),
    "maximum": ("{}的最大值", "{}的最大数值"),
    "minimum": ("{}的最小值", "{}的最小数值"),
}
_YEARS = {"maximum": ("最晚的{}",), "minimum": ("最早的{}",)}

_ASK = (
    "{}是什么？",
    "请告诉我{}。",
    "请查出{}。",
    "查一下{}。",
    "我想知道{}。",
    "请给出{}。",
    "能否查到{}？",
    "帮我找出{}。",
    "说出{}。",
)
_ASK_NUMBER = (
    "{}是多少？",
    "{}是多少？",
    "请告诉我{}。",
    "请给出{}。",
    "查一下{}。",
    "我想知道{}。",
    "{}究竟是多少？",
    "请查出{}。",
    "帮我查查{}。",
)
_ASK_DATE = (
    "{}是哪一天？",
    "{}是哪天？",
    "{}是什么日期？",
    "请查出{}。",
    "请告诉我{}。",
    "我想知道{}。",
    "查一下{}。",
    "请给出{}。",
    "帮我查查{}。",
)
_LIST = (
    "{}有哪些？",
    "请列出所有{}。",
    "列出全部{}。",
    "有哪些{}？",
    "请把{}全部列出来。",
    "我需要所有{}的名单。",
    "请逐一说出{}。",
    "帮我找出全部{}。",
    "查一下有哪些{}。",
)
_COUNT = (
    "{}有多少个？",
    "{}一共有多少个？",
    "{}共有几个？",
    "一共有多少个{}？",
    "请数一数{}有多少个。",
    "请给出{}的数量。",
    "{}的数量是多少？",
    "统计一下{}的个数。",
    "我想知道{}有多少个。",
)

_OPENINGS = (
    *("",) * 9,
    "请帮我查一下：",
    "请问，",
    "我在准备一份报告，想弄清一件事。",
    "麻烦核实一下：",
    "根据记录，",
    "有个问题想请教。",
    "朋友问我一个问题：",
    "帮个忙，",
    "出题需要核对：",
)

_CLOSINGS = (*("",) * 8, "谢谢！", "请用工具查询。", "简短回答即可。")

_QUOTED = re.compile(r".*[^\w·\-—－/.（）() ].*|.*[a-z]+ [a-z]+.*", re.DOTALL)


class Chinese:
    """Implements `grammar.Words`."""

    def known(self, subject: QuestionValue, singular: str | None, rng: random.Random) -> str:
        text = subject.text
        if subject.entity is None:
            return f"“{text}”" if _QUOTED.fullmatch(text) and "”" not in text else text
        if singular is None or singular in text:
            return text
        if subject.shared:
            return f"{singular}“{text}”"
        return rng.choice((text, text, f"{singular}“{text}”"))

    def result(self, step: PlanStep, number: int, singular: str | None) -> str:
        what = singular or {"number": "数值", "date": "日期", "list": "名单"}.get(
            step.kind, _bare(step.attribute.label) if step.attribute else "结果"
        )
        ordinal = f"第{_ORDINALS[number]}步" if number < len(_ORDINALS) else "上一步"
        return f"{ordinal}得到的{what}"

    # --- noun phrases --------------------------------------------------------------------------

    def noun(
        self,
        step: PlanStep,
        nouns: Mapping[str, str],
        names: RowNames,
        rng: random.Random,
        unit: bool,
    ) -> str:
        label = step.attribute.label if step.attribute else ""
        size = f"（单位：{unit_name(step.unit, 'zh')}）" if unit and step.unit else ""
        match step.operation:
            case "lookup":
                (subject,) = nouns.values()
                return _of(subject, label) + size
            case "find":
                return f"{label}{rng.choice('为是')}{nouns['value']}的{names.singular}"
            case "rank":
                return self._rank(step, nouns["value"], names, rng)
            case "compare":
                a, b = nouns["first"], nouns["second"]
                return f"{_of(a, label)}比{_of(b, label)}多出的数值{size}"
            case "difference":
                return f"{nouns['minuend']}与{nouns['subtrahend']}之差{size}"
            case "days_between":
                return f"从{nouns['start']}到{nouns['end']}相隔的天数"
            case "convert":
                return f"{nouns['value']}（换算成{unit_name(step.unit, 'zh')}）"
            case "aggregate":
                members = self._members(step, nouns["value"], names.plural, rng)
                return f"所有{members}的{self._function(step, label, rng)}{size}"
            case "count" | "count_where":
                return f"{self._members(step, nouns['value'], names.plural, rng)}的数量"
            case _:
                return self._members(step, nouns["value"], names.plural, rng)

    def labelled(self, step: PlanStep) -> str:
        label = step.attribute.label if step.attribute else ""
        return f"{label}（单位：{unit_name(step.unit, 'zh')}）" if step.unit else label

    def _members(self, step: PlanStep, value: str, plural: str, rng: random.Random) -> str:
        """The rows of a group."""
        assert step.by is not None
        by = step.by.label
        # With 该国家 and the like only the short wording reads well.
        wordy = f"{by}为{value}" if isinstance(step.arguments["value"], QuestionValue) else ""
        if by.startswith("所在") and len(by) > 2:
            group = rng.choice((f"位于{value}", wordy or f"位于{value}"))
        elif by.startswith("所属") and len(by) > 2:
            group = rng.choice((f"属于{value}", wordy or f"属于{value}"))
        else:
            group = rng.choice((f"{by}为{value}", f"{by}是{value}"))
        if "comparison" in step.words:
            group += rng.choice(("且", "、")) + self._condition(step)
        return f"{group}的{plural}"

    def _condition(self, step: PlanStep) -> str:
        assert step.attribute is not None
        unit = unit_name(step.attribute.unit, "zh") if step.attribute.unit else ""
        if is_year(step.attribute):
            unit = "年"
        word = measure_of(step.attribute).zh_beyond.of(step.words["comparison"])
        return f"{step.attribute.label}{word}{step.words['threshold']}{unit}"

    def _superlative(self, step: PlanStep) -> str:
        """The attribute at its highest or lowest, as a predicate: 人口最多."""
        assert step.attribute is not None
        measure = measure_of(step.attribute)
        side = step.words["order"]
        if measure.zh_of_row is not None and step.attribute.label in measure.plain:
            word = measure.zh_of_row.of(side)
            if measure.name == "depth":
                return word
        return f"{step.attribute.label}{measure.zh.of(side)}"

    def _rank(self, step: PlanStep, value: str, names: RowNames, rng: random.Random) -> str:
        members = self._members(step, value, names.plural, rng)
        superlative, singular = self._superlative(step), names.singular
        wordings = [
            f"{members}中{superlative}的{singular}",
            f"{members}里{superlative}的{singular}",
            f"{members}当中{superlative}的那个{singular}",
        ]
        return rng.choice(wordings)

    def _function(self, step: PlanStep, label: str, rng: random.Random) -> str:
        assert step.attribute is not None
        function = step.words["function"]
        if is_year(step.attribute) and function in _YEARS:
            return rng.choice(_YEARS[function]).format(label)
        return rng.choice(_FUNCTIONS[function]).format(label)

    # --- questions -----------------------------------------------------------------------------

    def ask(
        self,
        step: PlanStep,
        nouns: Mapping[str, str],
        names: RowNames,
        of: str | None,
        rng: random.Random,
    ) -> str:
        frames = self._special(step, nouns, names, rng)
        noun = self.noun(step, nouns, names, rng, True)
        match step.operation:
            case "list" | "filter":
                frames += [frame.format(noun) for frame in _LIST]
            case "count" | "count_where":
                frames += [frame.format(noun.removesuffix("的数量")) for frame in _COUNT]
            case "convert":
                pass
            case _ if of is not None:
                frames += [frame.format(noun) for frame in _ASK]
                frames += [f"{noun}是哪个？", f"{noun}叫什么名字？"]
            case _:
                asks = {"number": _ASK_NUMBER, "date": _ASK_DATE}.get(step.kind, _ASK)
                if step.attribute is not None and is_year(step.attribute):
                    asks = ("{}是哪一年？", *_ASK[1:])
                frames += [frame.format(noun) for frame in asks]
        return rng.choice(frames)

    def _special(
        self, step: PlanStep, nouns: Mapping[str, str], names: RowNames, rng: random.Random
    ) -> list[str]:
        """Questions that fit the operation better than 是什么."""
        label = step.attribute.label if step.attribute else ""
        unit = unit_name(step.unit, "zh")
        match step.operation:
            case "lookup":
                (subject,) = nouns.values()
                if label.startswith("所在") and len(label) > 2:
                    bare = label[2:]
                    return [
                        f"{subject}位于哪个{bare}？",
                        f"{subject}在哪个{bare}？",
                        f"哪个{bare}是{_of(subject, label)}？",
                    ] * 3
                if label.startswith("所属") and len(label) > 2:
                    return [f"{subject}属于哪个{label[2:]}？"] * 4
                return [f"{_of(subject, label)}是多少{unit}？"] * 4 if unit else []
            case "find":
                value = nouns["value"]
                return [
                    f"哪个{names.singular}的{label}是{value}？",
                    f"哪个{names.singular}以{value}为{label}？",
                    f"{value}是哪个{names.singular}的{label}？",
                ] * 3
            case "rank":
                members = self._members(step, nouns["value"], names.plural, rng)
                superlative = self._superlative(step)
                return [
                    f"{members}中，哪个{superlative}？",
                    f"在{members}里，哪个{superlative}？",
                    f"{members}当中，{superlative}的是哪个？",
                    f"请找出{members}中{superlative}的那个。",
                    f"所有{members}里，{superlative}的{names.singular}是哪个？",
                ] * 3
            case "compare":
                return self._ask_compare(step, nouns)
            case "difference":
                a, b = nouns["minuend"], nouns["subtrahend"]
                return [
                    f"{a}与{b}相差多少{unit}？",
                    f"{a}比{b}多多少{unit}？",
                    f"{a}减去{b}等于多少{unit}？",
                ] * 3
            case "days_between":
                a, b = nouns["start"], nouns["end"]
                return [
                    f"从{a}到{b}相隔多少天？",
                    f"{a}与{b}之间相隔多少天？",
                    f"从{a}到{b}过了多少天？",
                    f"{b}在{a}之后多少天？",
                    f"请计算从{a}到{b}的天数。",
                ] * 3
            case "convert":
                return _ask_convert(step, nouns["value"], unit)
            case _:
                return []

    def _ask_compare(self, step: PlanStep, nouns: Mapping[str, str]) -> list[str]:
        assert step.attribute is not None
        label = step.attribute.label
        a, b = _of(nouns["first"], label), _of(nouns["second"], label)
        more = measure_of(step.attribute).zh_more
        unit = "年" if is_year(step.attribute) else unit_name(step.unit, "zh")
        return [
            f"{a}比{b}{more}多少{unit}？",
            f"{a}比{b}{more}出多少{unit}？" if more != "晚" else f"{a}比{b}晚了多少年？",
            f"{a}与{b}相差多少{unit}？",
            f"{b}比{a}{_LESS[more]}多少{unit}？",
        ] * 4

    # --- several sentences ---------------------------------------------------------------------

    def handle(self, step: PlanStep, of: str | None, letter: int | None) -> str:
        what = of or (_bare(step.attribute.label) if step.attribute else "结果")
        return f"该{what}" if letter is None else f"{what}{_STEMS[letter]}"

    def introduce(
        self, noun: str, handle: str, letter: int | None, first: bool, rng: random.Random
    ) -> str:
        if letter is not None:
            return rng.choice(("把{n}记作{h}。", "设{n}为{h}。", "将{n}称为{h}。")).format(
                n=noun, h=handle
            )
        starts = ("先找出{}。", "先查出{}。", "首先确定{}。", "请先找到{}。")
        goes_on = ("再找出{}。", "接着查出{}。", "然后确定{}。", "再由此找到{}。")
        return rng.choice(starts if first else goes_on).format(noun)

    def facts(self, labels: Sequence[str], subject: str) -> str:
        return _of(subject, _and(labels))

    def ask_row(self, nouns: Sequence[str], rng: random.Random) -> str:
        return rng.choice(
            (
                "{}分别是什么？请按此顺序回答。",
                "请依次给出{}。",
                "请依次告诉我{}。",
                "按顺序查出{}。",
                "请按顺序回答：{}。",
                "我想依次知道{}。",
                "查一下{}，并按此顺序回答。",
                "请按这一顺序说出{}。",
                "{}各是什么？请依次作答。",
            )
        ).format(_and(nouns))

    def ask_items(self, questions: Sequence[str], rng: random.Random) -> str:
        items = "".join(f"（{_ORDINALS[n]}）{text}" for n, text in enumerate(questions))
        opening = rng.choice(
            (
                "请依次回答：",
                "请按顺序回答以下问题：",
                "有几个问题，请依次作答：",
                "请逐一回答：",
                "我有几件事想知道，请按顺序告诉我：",
                "以下各问请按顺序作答：",
                "请按次序解答：",
                "请依次查明：",
            )
        )
        return opening + items

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str:
        parts = _and(nouns)
        two = len(nouns) == 2
        most = {"maximum": "大", "minimum": "小"}.get(joined, "")
        most = f"较{most}" if two else f"最{most}"
        frames = {
            "sum": (
                "{}之和是多少？",
                "{}加起来是多少？",
                "{}相加等于多少？",
                "{}合计是多少？",
                "请把{}加起来，告诉我总和。",
                "请计算{}的总和。",
                "求{}之和。",
                "我想知道{}的总和。",
            ),
            "difference": (
                "{}相差多少？",
                "{}之间的差是多少？",
                "{}之差是多少？",
                "比较{}，两者相差多少？",
                "请计算{}之间的差。",
                "求{}之差。",
                "{}的差距有多大？",
                "我想知道{}相差多少。",
            ),
        }.get(joined) or (
            f"{{}}，{'两者' if two else '它们'}中{most}的数值是多少？",
            f"{{}}当中{most}的数值是多少？",
            f"比较{{}}，{most}的数值是多少？",
            f"请给出{{}}中{most}的数值。",
            f"在{{}}这几个数值中，{most}的是多少？",
            f"查一下{{}}，并给出其中{most}的数值。",
            f"求{{}}中{most}的数值。",
            f"我想知道{{}}里{most}的那个数值。",
        )
        return rng.choice(frames).format(parts)

    def join(self, sentences: Sequence[str]) -> str:
        return "".join(sentences)

    def dress(self, question: str, rng: random.Random) -> str:
        opening = rng.choice(_OPENINGS)
        if "（一）" in question:
            return question  # that has an opening of its own
        if question.startswith(("请", "先", "首先", "帮我")) and opening.startswith(
            ("请问", "帮个")
        ):
            opening = ""
        return opening + question + rng.choice(_CLOSINGS)


_LESS = {"高": "低", "大": "小", "长": "短", "多": "少", "晚": "早"}


def _ask_convert(step: PlanStep, value: str, unit: str) -> list[str]:
    own = ""
    if "步得到的" in value:
        own = f"（单位：{unit_name(str(step.arguments['from_unit']), 'zh')}）"
    return [
        f"{value}{own}换算成{unit}是多少？",
        f"{value}{own}相当于多少{unit}？",
        f"{value}{own}等于多少{unit}？",
        f"请把{value}{own}换算成{unit}。",
        f"将{value}{own}换算成{unit}。",
        f"{value}{own}合多少{unit}？",
        f"以{unit}为单位，{value}{own}是多少？",
        f"请用{unit}表示{value}{own}。",
    ]


def _of(subject: str, label: str) -> str:
    """The attribute of a subject; no 的 before 所在, 所属."""
    return f"{subject}{label}" if label.startswith("所") else f"{subject}的{label}"


def _bare(label: str) -> str:
    """所属山脉 as the thing itself: 山脉."""
    return label[2:] if label.startswith(("所在", "所属")) and len(label) > 2 else label


def _and(parts: Sequence[str]) -> str:
    return "、".join(parts[:-1]) + ("和" if len(parts) > 1 else "") + parts[-1]
