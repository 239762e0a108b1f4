"""How the rule teacher words a plan as a user's request, and reads such a request back.

The wording is stiff, but complete: each call is named by what its tool's document says, each value
is written out, each result that flows on is named. Several dialects, so that the same plan can be
asked for in different words. Reading is the inverse of writing, for any dialect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from astra.core.untrusted import odd_character
from astra.teacher.prompts.chains import PlannedArgument, PlannedStep, ShownTool
from astra.testing.rule_teacher.trajectories.values import spelled
from astra.trajectories.tasks.tool_fields import parameters_of
from astra.types import Language

LONGEST_PHRASE = 100
MOST_STEPS = 50
"""Steps of a request that is read."""
_DECODER = json.JSONDecoder()
_HAN = re.compile("[\u4e00-\u9fff]")
_ODD = re.compile(r"[\"“”`;:；：()（）\[\]{}<>\n\t|\\]")


@dataclass(frozen=True, slots=True)
class Wording:
    """Words between the parts. `{n}` is a number, `{path}` a quoted path."""

    opening: str
    mark: str
    given: str
    """Between the tool and its arguments."""
    is_: str
    """Between a parameter's label and its value."""
    from_field: str
    from_whole: str
    comma: str
    sep: str
    """Between steps."""
    end: str


DIALECTS: Mapping[Language, tuple[Wording, ...]] = {
    "en": (
        Wording(
            opening="Please do the following for me: ",
            mark="({n}) ",
            given=", with ",
            is_=" ",
            from_field=" as the result of step {n} gives it under {path}",
            from_whole=" as the whole result of step {n}",
            comma=" and ",
            sep="; ",
            end=".",
        ),
        Wording(
            opening="I need your help with this. ",
            mark="Part {n}: ",
            given=" using ",
            is_=" set to ",
            from_field=" taken from {path} in what part {n} brings",
            from_whole=" taken from everything that part {n} brings",
            comma=", ",
            sep=". ",
            end=".",
        ),
        Wording(
            opening="Could you take care of something? ",
            mark="No. {n} - ",
            given=" where the ",
            is_=" is ",
            from_field=" is whatever no. {n} returns as {path}",
            from_whole=" is all that no. {n} returns",
            comma=" and the ",
            sep=", then ",
            end=". Thank you!",
        ),
    ),
    "zh": (
        Wording(
            opening="请帮我完成以下事情：",
            mark="（{n}）",
            given="，其中",
            is_="为",
            from_field="取自第{n}步结果中的{path}",
            from_whole="取第{n}步的全部结果",
            comma="，",
            sep="；",
            end="。",
        ),
        Wording(
            opening="我有件事想麻烦你。",
            mark="第{n}件：",
            given="，条件是",
            is_="等于",
            from_field="用第{n}件事得到的{path}",
            from_whole="用第{n}件事得到的全部内容",
            comma="、",
            sep="。",
            end="。",
        ),
        Wording(
            opening="能不能帮个忙？",
            mark="事项{n}，",
            given="，并且",
            is_="设成",
            from_field="采用事项{n}返回的{path}",
            from_whole="采用事项{n}返回的一切",
            comma="，还有",
            sep="，然后",
            end="，谢谢！",
        ),
    ),
}


# --- writing -------------------------------------------------------------------------------------


def request_of(
    steps: Sequence[PlannedStep], tools: Sequence[ShownTool], language: Language, dialect: int = 0
) -> str:
    """The plan as a request."""
    words = DIALECTS[language][dialect % len(DIALECTS[language])]
    known = {tool.name: tool for tool in tools}
    parts: list[str] = []
    for number, step in enumerate(steps, start=1):
        tool = known[step.tool]
        labels = labels_of(tool, language)
        part = words.mark.format(n=number) + phrase(tool, language)
        if step.arguments:
            stated = [labels[name] + _argument(a, words) for name, a in step.arguments.items()]
            part += words.given + words.comma.join(stated)
        parts.append(part)
    return words.opening + words.sep.join(parts) + words.end


def _argument(argument: PlannedArgument, words: Wording) -> str:
    if argument.step is None:
        return words.is_ + spelled(argument.value)
    if argument.field is None:
        return words.from_whole.format(n=argument.step)
    return words.from_field.format(n=argument.step, path=spelled(argument.field))


def phrase(tool: ShownTool, language: Language) -> str:
    """What a tool does, in a few words of its document; else its name in words."""
    first = re.split(r"(?<=\S)[.。](?:\s|$)", tool.description.strip(), maxsplit=1)[0].strip(".。 ")
    chinese = _HAN.search(first) is not None
    fits = chinese if language == "zh" else first.isascii()
    if first and fits and len(first) <= LONGEST_PHRASE and not _ODD.search(first):
        if odd_character(first):
            return _named(tool, language)
        return first[0].lower() + first[1:] if first[1:2].islower() else first
    return _named(tool, language)


def _named(tool: ShownTool, language: Language) -> str:
    name = tool.name.replace("_", " ").strip()
    return f"使用 `{tool.name}`" if language == "zh" else f"use {name}"


def labels_of(tool: ShownTool, language: Language) -> dict[str, str]:
    """Parameter -> what a request calls it, each label once."""
    labels: dict[str, str] = {}
    for parameter in parameters_of(tool.parameters):
        said = parameter.description.strip(" .。")
        if language == "zh":
            label = said
            plain = 0 < len(said) <= 12 and _HAN.search(said) and not re.search(r"[\W\d]", said)
        else:
            label = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", parameter.name)
            label = label.replace("_", " ").strip()
            plain = label.isascii() and not _ODD.search(label)
        quoted = f"`{parameter.name}`"
        label = label if plain else quoted
        labels[parameter.name] = label if label not in labels.values() else quoted
    return labels


# --- reading -------------------------------------------------------------------------------------


def read_request(
    text: str, tools: Sequence[ShownTool], language: Language
) -> tuple[PlannedStep, ...] | None:
    """The plan that a request words; None when it is not one of the rule teacher's."""
    for dialect in DIALECTS[language]:
        steps = _Reader(text, tools, language, dialect).read()
        if steps:
            return steps
    return None


class _Reader:
    """One reading of one text in one dialect."""

    def __init__(
        self, text: str, tools: Sequence[ShownTool], language: Language, words: Wording
    ) -> None:
        self._text = text
        self._words = words
        # Longest first: one phrase may begin with another.
        self._tools = sorted(
            ((phrase(tool, language), tool) for tool in tools), key=lambda pair: -len(pair[0])
        )
        self._language: Language = language

    def read(self) -> tuple[PlannedStep, ...] | None:
        first = self._words.mark.format(n=1)
        start = self._text.find(self._words.opening)
        at = -1 if start < 0 else self._text.find(first, start)
        return None if at < 0 else self._steps(at, 1)

    def _steps(self, at: int, number: int) -> tuple[PlannedStep, ...] | None:
        """The steps from a place on; the first reading under which all of the rest is read."""
        mark = self._words.mark.format(n=number)
        if number > MOST_STEPS or not self._text.startswith(mark, at):
            return None
        for step, end in self._candidates(at + len(mark)):
            # The rest decides: a value may hold words that look like the next separator.
            if self._text.startswith(self._words.sep, end):
                rest = self._steps(end + len(self._words.sep), number + 1)
                if rest is not None:
                    return (step, *rest)
            if self._text.startswith(self._words.end, end):
                return (step,)
        return None

    def _candidates(self, at: int) -> Iterator[tuple[PlannedStep, int]]:
        for said, tool in self._tools:
            if not self._text.startswith(said, at):
                continue
            end = at + len(said)
            arguments: dict[str, PlannedArgument] = {}
            if self._text.startswith(self._words.given, end):
                found = self._arguments(tool, end + len(self._words.given))
                if found is None:
                    continue
                arguments, end = found
            needs = sorted({a.step for a in arguments.values() if a.step is not None})
            yield PlannedStep(tool=tool.name, arguments=arguments, needs=tuple(needs)), end

    def _arguments(self, tool: ShownTool, at: int) -> tuple[dict[str, PlannedArgument], int] | None:
        labels = sorted(labels_of(tool, self._language).items(), key=lambda pair: -len(pair[1]))
        found: dict[str, PlannedArgument] = {}
        while True:
            for name, label in labels:
                if name in found or not self._text.startswith(label, at):
                    continue
                argument = self._argument(at + len(label))
                if argument is not None:
                    found[name], at = argument
                    break
            else:
                return None
            if not self._text.startswith(self._words.comma, at):
                return found, at
            if len(found) == len(labels):
                return found, at
            at += len(self._words.comma)

    def _argument(self, at: int) -> tuple[PlannedArgument, int] | None:
        if self._text.startswith(self._words.is_, at):
            with suppress(ValueError, RecursionError):
                value, end = _DECODER.raw_decode(self._text, at + len(self._words.is_))
                return PlannedArgument(value=value), end
        for template in (self._words.from_field, self._words.from_whole):
            pattern = re.escape(template).replace(r"\{n\}", r"(?P<n>\d{1,3})")
            pattern = pattern.replace(r"\{path\}", r"(?P<path>\"[^\"\\]*\")")
            if (match := re.compile(pattern).match(self._text, at)) is not None:
                path = match.groupdict().get("path")
                field = None if path is None else json.loads(path)
                return PlannedArgument(step=int(match["n"]), field=field), match.end()
        return None
