"""Rules in words: one reading each, three wordings a rule, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from astra.arenas.stateful.cut import Row
from astra.arenas.stateful.roles import WritableTable
from astra.arenas.stateful.tools import DatabaseToolWriter
from astra.arenas.stateful.words import WORDS, quote
from astra.arenas.stateful.writes import stock_pair
from astra.service_policies import (
    AskedValue,
    Condition,
    CountCondition,
    ServiceOperation,
    ServiceRule,
    ServiceUser,
)
from astra.types import Language

WORDINGS = 3
"""Ways to say each rule. Wordings differ, so that no two rules share a text."""


@dataclass(frozen=True, slots=True)
class _Frames:
    forbid: tuple[str, ...]
    forbid_always: tuple[str, ...]
    confirm: tuple[str, ...]
    confirm_if: tuple[str, ...]
    ask: tuple[str, ...]
    ask_if: tuple[str, ...]
    limit: tuple[str, ...]
    what: str
    """What the user has to be told before they say yes."""
    what_alone: str
    """The same of an operation that sets no value."""
    set: str
    create: str
    cancel: str
    delete: str
    transfer: str
    both: str
    either: str
    of: str
    """A row that another refers to."""
    role: str
    role_user: str
    person: str
    not_owner: str
    field: str
    choice: str
    days: Mapping[str, str]
    amount: Mapping[str, str]
    count: Mapping[str, str]
    whose: str
    weekday: str
    weekdays: tuple[str, ...]
    hour: Mapping[str, str]


FRAMES: Mapping[Language, _Frames] = {
    "en": _Frames(
        forbid=(
            "Do not {do} if {condition}.",
            "If {condition}, do not {do}.",
            "It is forbidden to {do} if {condition}.",
        ),
        forbid_always=(
            "Do not {do}.",
            "It is forbidden to {do}.",
            "Never {do}.",
        ),
        confirm=(
            "Before you {do}, say {what}, and wait for the user's yes.",
            "To {do}, you need the user's yes: first name {what} in a message, and ask.",
            "Never {do} unasked: say {what}, and go on only after the user has said yes.",
        ),
        confirm_if=(
            "If {condition}, say {what} before you {do}, and wait for the user's yes.",
            "If {condition}, you need the user's yes to {do}: first name {what} in a "
            "message, and ask.",
            "If {condition}, never {do} unasked: say {what}, and go on only "
            "after the user has said yes.",
        ),
        ask=(
            "Before you {do}, ask the user for {field}. If the answer is not what is stored, do "
            "not do it.",
            "To {do}, first ask the user for {field}: it may only be done if they tell what is "
            "stored.",
            "Never {do} before the user, asked by you, has told {field} as it is stored.",
        ),
        ask_if=(
            "If {condition}, ask the user for {field} before you {do}. If the answer is not what "
            "is stored, do not do it.",
            "If {condition}, you may {do} only after the user, asked for {field}, has told what "
            "is stored.",
            "If {condition}, never {do} before the user, asked by you, has told {field} as it is "
            "stored.",
        ),
        limit=(
            "Of requests to {do}, carry out at most {most} in one conversation: those that came "
            "first. Refuse any other.",
            "In one conversation, at most {most} of the requests to {do} may be carried out, in "
            "the order in which they came. Any further one is refused.",
            "Requests to {do} are carried out as they come, but never more than {most} in one "
            "conversation. Refuse those beyond.",
        ),
        what="what it concerns and every new value",
        what_alone="what it concerns",
        set="change the {label} of {a_row}",
        create="create {a_row}",
        cancel="cancel {a_row}",
        delete="delete {a_row}",
        transfer="move {thing} from one {place} to another",
        both=" and ",
        either=" or ",
        of="the {singular} of {row}",
        role="the user is a {role}",
        role_user="The user is a {role}.",
        person="The user is the {singular} {name} ({key_label} {key}).",
        not_owner="{person} is not the user",
        field="the {label} of {row}",
        choice="the {label} of {row} is {values}",
        days={
            "above": "the {label} of {row} is more than {days} days ago",
            "below": "the {label} of {row} is less than {days} days ago",
        },
        amount={
            "above": "the {label} of {row} is above {amount}",
            "below": "the {label} of {row} is below {amount}",
        },
        count={
            "above": "{row} already has {least} or more {plural}{whose}",
            "below": "{row} has fewer than {count} {plural}{whose}",
        },
        whose=" with the {label} {values}",
        weekday="today is {days}",
        weekdays=(
            *("a Monday", "a Tuesday", "a Wednesday", "a Thursday", "a Friday", "a Saturday"),
            "a Sunday",
        ),
        hour={"below": "it is before {hour}:00", "above": "it is {hour}:00 or later"},
    ),
    "zh": _Frames(
        forbid=(
            "如果{condition}，不得{do}。",
            "在{condition}的情况下，禁止{do}。",
            "{condition}时，不能{do}。",
        ),
        forbid_always=("不得{do}。", "禁止{do}。", "任何情况下都不能{do}。"),
        confirm=(
            "{do}之前，先说明{what}，等用户确认后再办。",
            "要{do}，须征得用户同意：先发消息说明{what}，并询问用户。",
            "未经询问不得{do}：先说明{what}，用户同意后才能办。",
        ),
        confirm_if=(
            "如果{condition}，{do}之前，先说明{what}，等用户确认后再办。",
            "如果{condition}，要{do}须征得用户同意：先发消息说明{what}，并询问用户。",
            "如果{condition}，未经询问不得{do}：先说明{what}，用户同意后才能办。",
        ),
        ask=(
            "{do}之前，先向用户询问{field}；如果回答与记录不符，不得办理。",
            "要{do}，须先向用户询问{field}，只有用户所说与记录一致才能办理。",
            "在用户应你的询问说出与记录一致的{field}之前，不得{do}。",
        ),
        ask_if=(
            "如果{condition}，{do}之前，先向用户询问{field}；如果回答与记录不符，不得办理。",
            "如果{condition}，要{do}须先向用户询问{field}，只有用户所说与记录一致才能办理。",
            "如果{condition}，在用户应你的询问说出与记录一致的{field}之前，不得{do}。",
        ),
        limit=(
            "同一次对话中，“{do}”的请求最多办理{most}个，按提出的先后办理，其余一律拒绝。",
            "“{do}”的请求按提出的先后办理，同一次对话中最多{most}个，超出的须拒绝。",
            "同一次对话中，最多只能办理{most}个“{do}”的请求：先提出的先办，再多的不予办理。",
        ),
        what="涉及的对象和每个新值",
        what_alone="涉及的对象",
        set="修改{a_row}的{label}",
        create="新建{a_row}",
        cancel="取消{a_row}",
        delete="删除{a_row}",
        transfer="把{thing}从一个{place}调拨到另一个{place}",
        both="，并且",
        either="或",
        of="{row}的{singular}",
        role="用户的身份是{role}",
        role_user="用户的身份是{role}。",
        person="用户是{singular}{name}（{key_label}{key}）。",
        not_owner="{person}不是用户本人",
        field="{row}的{label}",
        choice="{row}的{label}为{values}",
        days={
            "above": "{row}的{label}距今超过{days}天",
            "below": "{row}的{label}距今不到{days}天",
        },
        amount={
            "above": "{row}的{label}高于{amount}",
            "below": "{row}的{label}低于{amount}",
        },
        count={
            "above": "{row}名下已有{least}条或更多{whose}的{plural}",
            "below": "{row}名下{whose}的{plural}不足{count}条",
        },
        whose="{label}为{values}",
        weekday="今天是{days}",
        weekdays=("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
        hour={"below": "时间早于{hour}点", "above": "时间已到或已过{hour}点"},
    ),
}

ROLES: Mapping[Language, tuple[str, ...]] = {
    "en": ("trainee", "clerk", "supervisor"),
    "zh": ("实习生", "专员", "主管"),
}


class RuleWords:
    """Writes the rules of one language over some tables."""

    def __init__(self, writer: DatabaseToolWriter) -> None:
        self._writer = writer
        self._frames = FRAMES[writer.language]
        self._language: Language = writer.language

    def rule(self, rule: ServiceRule, wording: int) -> str:
        """The text of a rule."""
        do = self.operation(rule.operation)
        always = not rule.when
        frames = {
            "forbid": self._frames.forbid_always if always else self._frames.forbid,
            "confirm": self._frames.confirm if always else self._frames.confirm_if,
            "ask": self._frames.ask if always else self._frames.ask_if,
            "limit": self._frames.limit,
        }[rule.effect]
        condition = self._frames.both.join(
            self.condition(rule.operation, each) for each in rule.when
        )
        sets_nothing = rule.operation.kind in ("cancel", "delete")
        what = self._frames.what_alone if sets_nothing else self._frames.what
        field = "" if rule.asks is None else self.field(rule.operation, rule.asks)
        text = frames[wording].format(
            do=do, condition=condition, what=what, field=field, most=rule.most
        )
        return text[:1].upper() + text[1:]

    def field(self, operation: ServiceOperation, asked: AskedValue) -> str:
        """What the user is asked for: "the telephone number of the customer of the order"."""
        column = self.table(operation, asked.path).column(asked.column)
        return self._frames.field.format(
            label=self._writer.label(column), row=self.row(operation, asked.path)
        )

    def operation(self, operation: ServiceOperation) -> str:
        """What an operation does: "change the shipping address of an order"."""
        table = self._writer.tables[operation.table]
        match operation.kind:
            case "set":
                label = self._writer.label(table.column(operation.column))
                return self._frames.set.format(label=label, a_row=self._a(table))
            case "create":
                return self._frames.create.format(a_row=self._a(table, new=True))
            case "cancel":
                return self._frames.cancel.format(a_row=self._a(table))
            case "delete":
                return self._frames.delete.format(a_row=self._a(table))
            case "transfer":
                pair = stock_pair(table)
                assert pair is not None
                thing, place = (self._writer.tables[table.references[name]] for name in pair)
                return self._frames.transfer.format(
                    thing=self._a(thing), place=self._writer.singular(place)
                )

    def user(self, user: ServiceUser, row: Row | None = None) -> str:
        """Who the user is. Empty if rules do not ask."""
        if user.role:
            return self._frames.role_user.format(role=user.role)
        if row is None:
            return ""
        table = self._writer.tables[user.table]
        return self._frames.person.format(
            singular=self._writer.singular(table),
            name=row[table.naming or table.key],
            key_label=self._writer.label(table.column(table.key)),
            key=user.key,
        )

    def condition(self, operation: ServiceOperation, condition: Condition) -> str:
        """A condition of a rule: "the status of the order is shipped"."""
        frames = self._frames
        match condition.kind:
            case "role":
                return frames.role.format(role=frames.either.join(condition.roles))
            case "weekday":
                days = [frames.weekdays[day - 1] for day in condition.days]
                return frames.weekday.format(days=frames.either.join(days))
            case "hour":
                return frames.hour[condition.comparison].format(hour=condition.hour)
            case "not_owner":
                return frames.not_owner.format(person=self.row(operation, condition.path))
            case "count":
                return self._count(operation, condition)
            case _:
                pass
        table = self.table(operation, condition.path)
        column = table.column(condition.column)
        words = {"label": self._writer.label(column), "row": self.row(operation, condition.path)}
        match condition.kind:
            case "choice":
                return frames.choice.format(values=self._values(condition.values), **words)
            case "days":
                return frames.days[condition.comparison].format(days=condition.days, **words)
            case "amount":
                amount = column.spoken(condition.amount)
                unit = f" {column.column.unit}" if column.column.unit else ""
                return frames.amount[condition.comparison].format(amount=amount + unit, **words)

    def _count(self, operation: ServiceOperation, condition: CountCondition) -> str:
        table = self._writer.tables[condition.table]
        whose = ""
        if condition.column:
            label = self._writer.label(table.column(condition.column))
            whose = self._frames.whose.format(label=label, values=self._values(condition.values))
        return self._frames.count[condition.comparison].format(
            count=condition.count,
            least=condition.count + 1,
            plural=self._writer.plural(table),
            whose=whose,
            row=self.row(operation, condition.path),
        )

    def table(self, operation: ServiceOperation, path: Sequence[str]) -> WritableTable:
        """The table at the end of references."""
        table = self._writer.tables[operation.table]
        for reference in path:
            table = self._writer.tables[table.references[reference]]
        return table

    def row(self, operation: ServiceOperation, path: Sequence[str]) -> str:
        """The row at the end of references: "the customer of the order"."""
        table = self._writer.tables[operation.table]
        if not path:
            the = "the {}" if self._language == "en" else "该{}"
            return the.format(self._writer.singular(table))
        *before, _ = path
        parent = self._writer.singular(self.table(operation, path))
        if operation.kind == "transfer" and len(path) == 1:
            # Nobody speaks of the entries of a stock: what moves is the thing.
            return ("the {}" if self._language == "en" else "该{}").format(parent)
        return self._frames.of.format(singular=parent, row=self.row(operation, before))

    def _values(self, values: Sequence[str]) -> str:
        return self._frames.either.join(quote(WORDS[self._language], value) for value in values)

    def _a(self, table: WritableTable, *, new: bool = False) -> str:
        singular = self._writer.singular(table)
        if self._language == "zh":
            return singular
        article = "an" if singular[:1].lower() in "aeiou" else "a"
        return f"a new {singular}" if new else f"{article} {singular}"
