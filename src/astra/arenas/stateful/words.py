"""The sentences of requests, in English and Chinese."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from astra.types import Language

STATEMENT = "~"
"""Begins a frame that is no order, so that no "please" can stand before it."""


@dataclass(frozen=True, slots=True)
class RequestWords:
    """Frames of one language. What is listed several times over is drawn at random."""

    by_name: str
    by_key: str
    by_parent: str
    by_parent_and: str
    set: tuple[str, ...]
    clause: str
    """A change of the row that the sentence is about already."""
    act: tuple[str, ...]
    """What a tool of its own does to a row."""
    act_clause: str
    delete: tuple[str, ...]
    on: tuple[str, ...]
    off: tuple[str, ...]
    cancel: tuple[str, ...]
    on_clause: str
    off_clause: str
    mark: tuple[str, ...]
    """A flag that says how a row is: active, archived."""
    unmark: tuple[str, ...]
    mark_clause: str
    unmark_clause: str
    bulk: tuple[str, ...]
    create: tuple[str, ...]
    about: str
    """The rows that a new one is about."""
    with_fields: str
    with_only: str
    """Fields of a new row that is about no other."""
    between: str
    """Between the rows that a new one is about."""
    field: str
    between_fields: str
    transfer: tuple[str, ...]
    is_choice: str
    above: str
    conditional: tuple[str, ...]
    openings: tuple[str, ...]
    next: tuple[str, ...]
    """Of a later turn."""
    set_open: tuple[str, ...]
    """A change to a value that is not said."""
    ask: str
    told: str
    cannot: str
    brings: str
    confirm: str
    ask_stored: str
    """Asks for a value that the database holds, as a rule has it."""
    told_stored: str
    not_stored: str
    most: str
    """What limits and wrong answers are refused by."""
    refuse: str
    revise: tuple[str, ...]
    undo: tuple[str, ...]
    tell: tuple[str, ...]
    raise_percent: str
    lower_percent: str
    raise_by: str
    lower_by: str
    later: str
    earlier: str
    same_as: str
    also: tuple[str, ...]
    quoted: str
    stop: str
    find: str
    read: str
    change: str
    true: str
    false: str


WORDS: dict[Language, RequestWords] = {
    "en": RequestWords(
        by_name="the {singular} {value}",
        by_key="{singular} {value}",
        by_parent="the {singular} of {parent}",
        by_parent_and="the {singular} of {parent} whose {label} is {value}",
        set=(
            "change the {label} of {row} to {value}",
            "set the {label} of {row} to {value}",
            "update the {label} of {row} to {value}",
        ),
        clause="set the {label} to {value}",
        act=("{verb} {row}",),
        act_clause="{verb} it",
        delete=("delete {row}", "remove {row}"),
        on=("turn the {label} of {row} on",),
        off=("turn the {label} of {row} off",),
        cancel=("cancel {row}",),
        on_clause="turn the {label} on",
        off_clause="turn the {label} off",
        mark=("mark {row} as {label}",),
        unmark=("mark {row} as not {label}",),
        mark_clause="mark it as {label}",
        unmark_clause="mark it as not {label}",
        bulk=(
            "set the {label} of every {singular} of {parent} whose {filter} is {old} to {value}",
            "~for every {singular} of {parent} whose {filter} is {old}, set the {label} to {value}",
        ),
        create=(
            "create a new {singular}{about}{fields}",
            "add a new {singular}{about}{fields}",
        ),
        about=" for {rows}",
        with_fields=", with {fields}",
        with_only=" with {fields}",
        between=" and ",
        field="{label} {value}",
        between_fields=", ",
        transfer=(
            "move {quantity} of {thing} from {start} to {end}",
            "transfer {quantity} of {thing} from {start} to {end}",
        ),
        is_choice="the {label} of {row} is {value}",
        above="the {label} of {row} is above {value}",
        conditional=(
            "~if {condition}, {first}; otherwise {second}",
            "check whether {condition}. If so, {first}; if not, {second}",
        ),
        openings=("", "", "please ", "I need you to "),
        next=("One more thing: {next}.", "Next: {next}.", "Thanks. Now this: {next}."),
        set_open=("change the {label} of {row}", "~I want the {label} of {row} changed"),
        ask="What should the {label} of {row} be?",
        told="Make the {label} {value}.",
        cannot="I can't do that now: I have no tool for it. ({what})",
        brings="You can call this tool from now on: {document}\nPlease go ahead with it.",
        confirm="May I do this: {what}?",
        ask_stored="Before I go on, a question: what is {field}?",
        told_stored="The {label} is {value}.",
        not_stored="what I was told as {field} is not what is stored",
        most="at most {most} in one conversation",
        refuse="I can't do this, because rule {number} forbids it ({fact}): {what}.",
        revise=(
            "Sorry, I changed my mind: make the {label} {value} instead.",
            "On second thought, the {label} should be {value}.",
        ),
        undo=(
            "Sorry, that was a mistake: put the {label} back to what it was before.",
            "Please undo that: the {label} should be what it was before.",
        ),
        tell=("tell me the {label} of {row}", "look up the {label} of {row} for me"),
        raise_percent="raise the {label} of {row} by {percent} percent",
        lower_percent="lower the {label} of {row} by {percent} percent",
        raise_by="increase the {label} of {row} by {amount}",
        lower_by="reduce the {label} of {row} by {amount}",
        later="move the {label} of {row} to a day {days} days later",
        earlier="move the {label} of {row} to a day {days} days earlier",
        same_as="set the {label} of {row} to that of {other}",
        also=(" Also, {next}.", " In addition, {next}.", " And {next}."),
        quoted='"{text}"',
        stop=".",
        find="Find {row}.",
        read="Look at {row}.",
        change="{request}.",
        true="true",
        false="false",
    ),
    "zh": RequestWords(
        by_name="{singular}{value}",
        by_key="{singular}{value}",
        by_parent="{parent}的{singular}",
        by_parent_and="{parent}名下{label}为{value}的{singular}",
        set=(
            "把{row}的{label}改为{value}",
            "将{row}的{label}设为{value}",
            "将{row}的{label}更新为{value}",
        ),
        clause="把{label}设为{value}",
        act=("把{row}的{label}改为{value}",),
        act_clause="把{label}设为{value}",
        delete=("删除{row}",),
        on=("开启{row}的{label}",),
        off=("关闭{row}的{label}",),
        cancel=("取消{row}",),
        on_clause="开启{label}",
        off_clause="关闭{label}",
        mark=("开启{row}的{label}",),
        unmark=("关闭{row}的{label}",),
        mark_clause="开启{label}",
        unmark_clause="关闭{label}",
        bulk=("把{parent}名下所有{filter}为{old}的{singular}的{label}都改为{value}",),
        create=("{about}新建{singular}{fields}", "{about}添加{singular}{fields}"),
        about="为{rows}",
        with_fields="，{fields}",
        with_only="，{fields}",
        between="和",
        field="{label}为{value}",
        between_fields="，",
        transfer=("从{start}调拨{quantity}件{thing}到{end}",),
        is_choice="{row}的{label}是{value}",
        above="{row}的{label}高于{value}",
        conditional=("~如果{condition}，就{first}；否则{second}",),
        openings=("", "请", "麻烦你"),
        next=("还有一件事：{next}。", "接下来：{next}。", "谢谢。再办一件：{next}。"),
        set_open=("修改{row}的{label}", "~{row}的{label}要改一下"),
        ask="{row}的{label}应改为什么？",
        told="{label}改为{value}。",
        cannot="我现在无法办理：没有相应的工具。（{what}）",
        brings="从现在起你可以调用这个工具：{document}\n请继续办理。",
        confirm="准备办理：{what}。可以吗？",
        ask_stored="办理之前请提供一下：{field}是什么？",
        told_stored="{label}是{value}。",
        not_stored="{field}与记录不符",
        most="同一次对话中最多{most}个",
        refuse="规则{number}禁止这样做，我无法办理（{fact}）：{what}。",
        revise=("抱歉，我改主意了：{label}改为{value}。", "还是把{label}设为{value}吧。"),
        undo=("抱歉，弄错了，请把{label}恢复成原来的值。", "请撤销刚才的修改，{label}恢复原状。"),
        tell=("告诉我{row}的{label}",),
        raise_percent="把{row}的{label}上调{percent}%",
        lower_percent="把{row}的{label}下调{percent}%",
        raise_by="把{row}的{label}增加{amount}",
        lower_by="把{row}的{label}减少{amount}",
        later="把{row}的{label}推迟{days}天",
        earlier="把{row}的{label}提前{days}天",
        same_as="把{row}的{label}设为与{other}的{label}相同",
        also=("另外，{next}。", "还有，{next}。"),
        quoted="“{text}”",
        stop="。",
        find="查找{row}。",
        read="查看{row}。",
        change="{request}。",
        true="true",
        false="false",
    ),
}


_CODE = re.compile(r"[\w./@:+-]+", re.ASCII)


def quote(words: RequestWords, text: str) -> str:
    """A value in a sentence: in quotation marks, unless it is one plain word or code."""
    return text if _CODE.fullmatch(text) else words.quoted.format(text=text)


def named(frame: str, singular: str, value: str) -> str:
    """What a row is called: with a space where both parts are in Latin letters."""
    if singular[-1:].isascii() and value[:1].isascii():
        frame = frame.replace("{singular}{value}", "{singular} {value}")
    return frame.format(singular=singular, value=value)


def spoken_name(words: RequestWords, name: str) -> str:
    """The name of a row in a sentence: in quotation marks if it is half a sentence itself."""
    small = [word for word in name.split()[1:] if word[:1].islower()]
    return words.quoted.format(text=name) if len(small) > 2 else name


def request_text(words: RequestWords, parts: Sequence[str], rng: random.Random) -> str:
    """One message that asks for everything."""
    opening = rng.choice(words.openings)
    first = parts[0].removeprefix(STATEMENT)
    text = (opening if first == parts[0] else "") + first + words.stop
    text = text[:1].upper() + text[1:]
    return text + "".join(
        rng.choice(words.also).format(next=part.removeprefix(STATEMENT)) for part in parts[1:]
    )
