"""Chinese questions: sentences whatever the operation, and phrases that operations share."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from astra.arenas.tables.questions.frames import read_frames
from astra.arenas.tables.questions.measures import is_year, measure_of
from astra.arenas.tables.questions.phrases import LanguageWords, OperationWords, StepPhrase
from astra.arenas.tables.steps import PlanStep, QuestionValue
from astra.arenas.tables.units import unit_name

FRAMES = read_frames("chinese")

# Up to `MAX_HOPS`, and in no digits: one in a question may look like a leaked answer.
ORDINALS = (*"一二三四五六七八九十", *(f"十{ones}" for ones in "一二三四五六七八九"), "二十")
# The ten heavenly stems, by which Chinese counts off, and ten of the earthly branches.
STEMS = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉"
_NEEDS_QUOTES = re.compile(r".*[^\w·\-—－/.（）() ].*|.*[a-z]+ [a-z]+.*", re.DOTALL)


class Chinese(LanguageWords):
    """Sentences in Chinese."""

    texts = FRAMES

    def value(
        self,
        value: QuestionValue,
        singular: str | None,
        rng: random.Random,
        *,
        ambiguous: bool = False,
    ) -> str:
        text = value.text
        if value.entity is None:
            return f"“{text}”" if _NEEDS_QUOTES.fullmatch(text) and "”" not in text else text
        if value.number and singular is not None:
            return f"{value.number}为{text}的{singular}"
        if singular is None or singular in text:
            return text
        if value.shared or ambiguous:
            return f"{singular}“{text}”"
        return rng.choice((text, text, f"{singular}“{text}”"))

    def result(self, step: PlanStep, number: int, singular: str | None) -> str:
        noun = singular or {"number": "数值", "date": "日期", "list": "名单"}.get(
            step.kind, without_relation(step.attribute.label) if step.attribute else "结果"
        )
        return f"第{ORDINALS[number]}步得到的{noun}"

    def handle(self, step: PlanStep, singular: str | None, letter: int | None) -> str:
        noun = singular or (without_relation(step.attribute.label) if step.attribute else "结果")
        return f"该{noun}" if letter is None else f"{noun}{STEMS[letter]}"

    def labelled(self, step: PlanStep) -> str:
        label = step.attribute.label if step.attribute else ""
        return label + (f"（单位：{unit_name(step.unit, 'zh')}）" if step.unit else "")

    def facts(self, labels: Sequence[str], subject: str) -> str:
        return of_subject(subject, self.enumeration(labels))

    def enumeration(self, parts: Sequence[str]) -> str:
        return "、".join(parts[:-1]) + ("和" if len(parts) > 1 else "") + parts[-1]

    def ask_items(self, questions: Sequence[str], rng: random.Random) -> str:
        items = "".join(f"（{ORDINALS[n]}）{text}" for n, text in enumerate(questions))
        return rng.choice(FRAMES.items) + items

    def ask_node(self, joined: str, nouns: Sequence[str], rng: random.Random) -> str:
        two = len(nouns) == 2
        word = ("较" if two else "最") + ("大" if joined == "maximum" else "小")
        both = "两者" if two else "它们"
        frame = rng.choice(FRAMES.of_node(joined))
        return frame.format(self.enumeration(nouns), word=word, both=both)

    def join(self, sentences: Sequence[str]) -> str:
        return "".join(sentences)

    def frame(self, question: str, rng: random.Random) -> str:
        opening = rng.choice(FRAMES.openings)
        if "（一）" in question:
            return question  # a list of questions has an opening of its own
        polite = question.startswith(("请", "先", "首先", "帮我"))
        if polite and opening.startswith(("请问", "帮个")):
            opening = ""
        return opening + question + rng.choice(FRAMES.closings)


class ChineseWords(OperationWords):
    """Base class of operations' words."""

    def frames(self, phrase: StepPhrase, noun: str) -> list[str]:
        step, frames = phrase.step, FRAMES.ask
        if phrase.answer is not None:
            frames = (*frames, "{}是哪个？", "{}叫什么名字？")
        elif step.attribute is not None and is_year(step.attribute):
            frames = ("{}是哪一年？", *frames[1:])
        elif step.kind in ("number", "date"):
            frames = FRAMES.ask_number if step.kind == "number" else FRAMES.ask_date
        return [frame.format(noun) for frame in frames]


# --- phrases that operations share -----------------------------------------------------------


def of_subject(subject: str, label: str) -> str:
    """The attribute of a subject; 所在 and 所属 take no 的 before them."""
    return f"{subject}{label}" if label.startswith("所") else f"{subject}的{label}"


def without_relation(label: str) -> str:
    """所属山脉 as the thing itself: 山脉."""
    return label[2:] if label.startswith(("所在", "所属")) and len(label) > 2 else label


def unit_in_brackets(phrase: StepPhrase, *, unit: bool) -> str:
    """（单位：公里）, or nothing."""
    return f"（单位：{unit_name(phrase.step.unit, 'zh')}）" if unit and phrase.step.unit else ""


def members(phrase: StepPhrase) -> str:
    """The rows of a group."""
    step, value, rng = phrase.step, phrase.group_value, phrase.rng
    assert step.by is not None
    by = step.by.label
    # Around 该国家 and the like only the short wording reads well.
    wordy = f"{by}为{value}" if isinstance(step.arguments["value"], QuestionValue) else ""
    if by.startswith("所在") and len(by) > 2:
        group = rng.choice((f"位于{value}", wordy or f"位于{value}"))
    elif by.startswith("所属") and len(by) > 2:
        group = rng.choice((f"属于{value}", wordy or f"属于{value}"))
    else:
        group = rng.choice((f"{by}为{value}", f"{by}是{value}"))
    if "comparison" in step.words:
        attribute = phrase.attribute
        unit = "年" if is_year(attribute) else unit_name(attribute.unit, "zh")
        word = measure_of(attribute).zh_beyond.of(step.words["comparison"])
        group += f"{rng.choice(('且', '、'))}{attribute.label}{word}{step.words['threshold']}{unit}"
    return f"{group}的{phrase.plural}"
