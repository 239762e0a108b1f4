"""The rules that an agent has to keep while it serves a user: who asks, and what is forbidden.

Rules are said in the system prompt and never enforced by tools. All that no rule forbids is
allowed, any rule that forbids wins, and what rules require adds up, so that no two contradict.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from astra.databases import Cell
from astra.records import GrownRecord, Record

Comparison = Literal["above", "below"]


class ServiceOperation(Record):
    """What a writing tool does, as rules speak of it."""

    kind: Literal["set", "create", "transfer", "cancel", "delete"]
    table: str
    column: str = ""
    """Of `set`: the column."""


class RoleCondition(Record):
    """The user has one of some roles."""

    kind: Literal["role"] = "role"
    roles: tuple[str, ...]


class NotOwnerCondition(Record):
    """A row belongs to another person than the user."""

    kind: Literal["not_owner"] = "not_owner"
    path: tuple[str, ...]
    """References from the row of the operation to the person that it belongs to."""


class ChoiceCondition(Record):
    """A column, such as a status, has one of some values."""

    kind: Literal["choice"] = "choice"
    path: tuple[str, ...] = ()
    """References from the row of the operation to the row that has the column. Empty: itself."""
    column: str
    values: tuple[str, ...]


class DaysCondition(Record):
    """A date lies more, or less, than some days back."""

    kind: Literal["days"] = "days"
    path: tuple[str, ...] = ()
    column: str
    comparison: Comparison
    days: int


class AmountCondition(Record):
    """A number is above, or below, another."""

    kind: Literal["amount"] = "amount"
    path: tuple[str, ...] = ()
    column: str
    comparison: Comparison
    amount: int
    """As the database stores it."""


class CountCondition(Record):
    """So many rows refer to a row, more or fewer than some number."""

    kind: Literal["count"] = "count"
    path: tuple[str, ...] = ()
    """To the row that is referred to."""
    table: str
    reference: str
    """Column of the referring rows."""
    column: str = ""
    values: tuple[str, ...] = ()
    """Only rows whose column has one of these values. Empty: all."""
    comparison: Comparison
    count: int


class WeekdayCondition(Record):
    """Today is one of some days of the week."""

    kind: Literal["weekday"] = "weekday"
    days: tuple[int, ...]
    """1 is Monday."""


class HourCondition(Record):
    """It is before, or not before, an hour of the day."""

    kind: Literal["hour"] = "hour"
    comparison: Comparison
    """`below`: before the hour."""
    hour: int


Condition = Annotated[
    RoleCondition
    | NotOwnerCondition
    | ChoiceCondition
    | DaysCondition
    | AmountCondition
    | CountCondition
    | WeekdayCondition
    | HourCondition,
    Field(discriminator="kind"),
]


class AskedValue(Record):
    """What the user is asked for before something is done: a value that the database holds."""

    path: tuple[str, ...] = ()
    """References from the row of the operation to the row that has the column. Empty: itself."""
    column: str


RuleEffect = Literal["forbid", "confirm", "ask", "limit"]
"""What holds for the operation of a rule. forbid: it is not done. confirm: the user agrees to it
before. ask: the user is asked for a value before, and it is done only if that is the stored one.
limit: it is done so many times in one conversation, as it was asked for first, and no more."""


class ServiceRule(GrownRecord):
    """One rule of a policy."""

    later: ClassVar[frozenset[str]] = frozenset({"asks", "most"})

    effect: RuleEffect
    operation: ServiceOperation
    when: tuple[Condition, ...] = ()
    """All have to hold. Empty: always. A limit has none."""
    text: str = ""
    """The rule as the agent reads it."""
    asks: AskedValue | None = None
    """Of `ask`."""
    most: int | None = None
    """Of `limit`: how many times, 1 or more."""

    @model_validator(mode="after")
    def _fits_its_effect(self) -> Self:
        if (self.effect == "ask") != (self.asks is not None):
            raise ValueError(f"asks: {self.asks!r} does not fit a rule of effect {self.effect!r}")
        if self.effect != "limit" and self.most is not None:
            raise ValueError(f"most: {self.most!r} does not fit a rule of effect {self.effect!r}")
        if self.effect == "limit" and (self.when or self.most is None or self.most < 1):
            raise ValueError(
                f"a limit has no conditions and a `most` of 1 or more, not {self.most!r}"
            )
        return self


class ServiceUser(Record):
    """Who asks, as rules see it."""

    role: str = ""
    """Empty if rules ask for none."""
    table: str = ""
    key: Cell = None
    """Of a user who is a person of the database: its row."""
    text: str = ""
    """Who it is, as the agent reads it."""


class ServicePolicy(Record):
    """Rules with the user that they are applied to."""

    user: ServiceUser
    rules: tuple[ServiceRule, ...]
    """The first is rule 1."""
    presses: bool = False
    """Whether the user, told by which rule something is not done, asks for it once more."""
