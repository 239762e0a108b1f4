"""The last message of a gold episode: what was done, and what was to be told, as people say it.

It is made from the goals' own questions, whose frames it knows in both languages, and from the rows
that change where a question is worded in another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from astra.core.text import contains_text
from astra.databases import Database, RowChange, shown_cell
from astra.records import Answer
from astra.types import Language, StateGoal

MOST_SAID = 3
"""Changes that are said one by one. Of more it is said only that all are made."""
_PAST: Mapping[str, str] = MappingProxyType(
    {
        "add": "added",
        "cancel": "cancelled",
        "change": "changed",
        "close": "closed",
        "create": "created",
        "delete": "deleted",
        "extend": "extended",
        "increase": "increased",
        "lower": "lowered",
        "move": "moved",
        "raise": "raised",
        "reduce": "reduced",
        "remove": "removed",
        "set": "set",
        "transfer": "transferred",
        "turn": "turned",
        "update": "updated",
    }
)
_ORDER_ZH = re.compile(r"[把将为给从在向]|开启|关闭|取消|删除|添加|新建|调拨")
_BRANCHES = (
    re.compile(r"if .+?, (.+); otherwise (.+)", re.DOTALL),
    re.compile(r"check whether .+?\. If so, (.+); if not, (.+)", re.DOTALL),
    re.compile(r"如果.+?，就(.+)；否则(.+)", re.DOTALL),
)
_REVISED = (
    (re.compile(r".+: make (the .+) instead"), "I made {}"),
    (
        re.compile(r".+(?:: put|: )(the .+?)(?: back to| should be) what it was before"),
        "I put {} back to what it was before",
    ),
    (re.compile(r".+, (the .+) should be (.+)"), "I changed {} to {}"),
    (re.compile(r".+：(.+)改为(.+)"), "已把{}改为{}"),
    (re.compile(r"还是把(.+)吧"), "已把{}"),
    (re.compile(r".+请把(.+)恢复成原来的值"), "已把{}恢复成原来的值"),
    (re.compile(r".+，(.+)恢复原状"), "已把{}恢复原状"),
)
"""Another wish for what was done before, and how it is said that it was met."""
_TELL = (
    re.compile(r"tell me (.+)"),
    re.compile(r"look up (.+) for me"),
    re.compile(r"告诉我(.+)"),
)


def goals_text(goals: Iterable[StateGoal], tables: Database, language: Language) -> str:
    """What goals bring about and tell, as a message that says that it is done."""
    goals = list(goals)
    changing = [goal for goal in goals if goal.changes]
    chinese = language == "zh"
    if len(changing) > MOST_SAID:
        count = len(changing)
        said = [f"{count}处改动都已完成" if chinese else f"I made all {count} changes"]
    else:
        said = [text for goal in changing for text in _done(goal, tables, chinese=chinese)]
    facts = [(goal, fact) for goal in goals if (fact := goal.told or goal.says) is not None]
    said += [_told(goal.question, fact.value, chinese=chinese) for goal, fact in facts]
    if not said:
        return "已完成。" if chinese else "Done."
    return "".join(f"{text}。" for text in said) if chinese else " ".join(f"{t}." for t in said)


def answer_text(answer: Answer) -> str:
    """An answer as the text of a final message."""
    return ", ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)


def _done(goal: StateGoal, tables: Database, *, chinese: bool) -> list[str]:
    """That a change was made: as it was asked for, or row by row."""
    order = _branch(goal, tables)
    first, _, rest = order.partition(" ")
    if chinese and _ORDER_ZH.match(order):
        return [f"已{order}"]
    if not chinese and (past := _PAST.get(first.casefold())) is not None:
        return [f"I {past} {rest}"]
    for frame, said in _REVISED:
        if (found := frame.fullmatch(order)) is not None:
            return [said.format(*found.groups())]
    return [_row(change, tables, chinese=chinese) for change in goal.changes[:MOST_SAID]]


def _branch(goal: StateGoal, tables: Database) -> str:
    """What was to be done under the condition as it holds: the part that names the new value."""
    question = goal.question.rstrip(".。")
    for frame in _BRANCHES:
        if (found := frame.fullmatch(question)) is None:
            continue
        fitting = [
            branch
            for branch in found.groups()
            if any(contains_text(branch, value) for value in _values(goal.changes, tables))
        ]
        return fitting[0] if len(fitting) == 1 else ""
    return question


def _values(changes: Sequence[RowChange], tables: Database) -> list[str]:
    return [
        shown_cell(tables.table(change.table).column(name), value)
        for change in changes
        for name, value in (change.after or {}).items()
    ]


def _row(change: RowChange, tables: Database, *, chinese: bool) -> str:
    """What became of a row."""
    if change.after is None:
        return f"已删除{change.key}" if chinese else f"I deleted {change.key}"
    if change.before is None:
        return f"已新建{change.key}" if chinese else f"I created {change.key}"
    name, value = next(iter(change.after.items()))
    shown = shown_cell(tables.table(change.table).column(name), value)
    label = name.replace("_", " ")
    if chinese:
        return f"{change.key}的{label}现在是{shown}"
    return f"The {label} of {change.key} is now {shown}"


def _told(question: str, answer: Answer, *, chinese: bool) -> str:
    """A fact that was asked for."""
    value = answer_text(answer)
    for frame in _TELL:
        if (found := frame.fullmatch(question.rstrip(".。"))) is not None:
            what = found[1]
            return f"{what}是{value}" if chinese else f"{what[:1].upper()}{what[1:]} is {value}"
    return value
