"""What requests state in people's words, and plans that take it."""

from __future__ import annotations

from typing import Any

import pytest

from astra.teacher.prompts.chains import PlannedArgument, PlannedStep
from astra.testing.rule_teacher.scripted_agent import resolved
from astra.trajectories.records import PlannedCall, TrajectoryTask
from astra.trajectories.tasks.dependencies import KnownFields
from astra.trajectories.tasks.plans import open_arguments, planned_calls
from astra.trajectories.tasks.stated import statement
from astra.trajectories.tasks.variations import kept_words, variation_problem
from astra.trajectories.toolset import ToolSet
from astra.types import Json

from .services import returning, server, text, tool


@pytest.mark.parametrize(
    ("value", "request_", "pieces"),
    [
        ("2026-03-05T15:00:00", "Book it for 5 March 2026 at 3 pm.", ("5 March 2026", "3 pm")),
        (
            "2026-03-05T15:00:00+01:00",
            "On March 5th, 2026, at 15:00.",
            ("March 5th, 2026", "15:00"),
        ),
        ("2026-03-05T00:00:00Z", "Everything since 5 March 2026", ("5 March 2026",)),
        ("2026-03-05 15:30", "2026年3月5日下午3点半见", ("2026年3月5日", "下午3点半")),
        ("2026-03-05", "by 5 March, please", ("5 March",)),
        ("15:00", "at 3 pm", ("3 pm",)),
        ("15:00:00Z", "at 3 pm", ("3 pm",)),
        ("EUR", "Convert it to euros", ("euros",)),
        ("EUR", "How much is that in €50 notes?", ("€",)),
        ("JPY", "some yen", ("yen",)),
        ("PLN", "in zloty, please", ("zloty",)),
        ("CNY", "换成人民币", ("人民币",)),
        ("4111111111111111", "my card 4111 1111 1111 1111", ("4111 1111 1111 1111",)),
        ("+4915112345678", "call +49 (151) 123-45678", ("+49 (151) 123-45678",)),
        ("DE89370400440532013000", "IBAN DE89 3704 0044 0532 0130 00", None),
        ("in_progress", "those in progress", ("in progress",)),
        ("inProgress", "those in progress", ("in progress",)),
        (4, "a table for four", ("four",)),
        (2_500_000, "2.5 million people", None),
        (5000, "at most 5k", None),
        (0.2, "a tip of 20%", None),
        (1200, "about 1,200 people", ("1,200",)),
        ("São Paulo", "in Sao Paulo", ("Sao Paulo",)),
    ],
)
def test_people_say_values_in_their_own_words(
    value: Json, request_: str, pieces: tuple[str, ...] | None
) -> None:
    known = statement(value, request_)
    assert known.known == "stated"
    assert known.pieces if pieces is None else known.pieces == pieces
    # What is kept of a request is in it, as it is written.
    assert pieces is None or all(piece in request_ for piece in known.pieces)


@pytest.mark.parametrize(
    ("value", "request_"),
    [
        ("2026-03-05T15:00:00", "Book it for 5 March 2026."),
        ("2026-03-05T15:00:00", "Book it for 3 pm."),
        ("2026-03-05T15:00:00", "Book it for 6 March 2026 at 3 pm."),
        ("15:00", "at 4 pm"),
        ("4111111111111112", "my card 4111 1111 1111 1111"),
        ("4111111111111111", "my card 14111 1111 1111 1111"),
        ("C-118", "order 118 of a customer"),
        ("ann@example.org", "write to Ann"),
        (7, "some people"),
        ("Rome", "the weather in Lisbon"),
        ("2026-03-05", "whenever it suits"),
    ],
)
def test_rules_refuse_what_no_words_of_a_request_can_mean(value: Json, request_: str) -> None:
    assert statement(value, request_).known == "missing"


@pytest.mark.parametrize(
    ("value", "request_", "schema"),
    [
        ("USD", "50 dollars", {}),  # of which country?
        ("US", "the States", {}),
        ("vegetarian", "no meat, please", {}),
        ("desc", "the newest first", {"enum": ["asc", "desc"]}),
        (30, "for half an hour", {}),
        ("2026-03-05", "for next Thursday", {}),
        ("Quarterly budget meeting", "our meeting about the budget", {}),
    ],
)
def test_what_no_rule_decides_is_left_to_the_teacher(
    value: Json, request_: str, schema: dict[str, Json]
) -> None:
    assert statement(value, request_, schema).known == "open"


def test_what_the_document_offers_nobody_has_to_say() -> None:
    for schema in ({"const": "v2"}, {"enum": ["v2"]}, {"default": "v2"}):
        assert statement("v2", "Anything.", schema).known == "stated"
        assert statement("v3", "Anything.", schema).known == "missing"
    explained = text("State, e.g. CA (California).")
    assert statement("CA", "in California", explained).known == "stated"
    # Another choice is asked for.
    assert statement("home", "my work calendar", {"enum": ["work", "home"]}).known == "missing"


# --- plans ---------------------------------------------------------------------------------------

PERSON = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
    "required": ["id", "name"],
}
TEXTS = {"type": "array", "items": {"type": "string"}}
NUMBERS = {"type": "array", "items": {"type": "integer"}}
BANK = server(
    "bank",
    (
        tool(
            "find_people",
            "Find people.",
            {"name": text("Name.")},
            ("name",),
            returning(ids=TEXTS, scores=NUMBERS, first={"type": "string"}),
        ),
        tool(
            "pay",
            "Pay somebody.",
            {
                "recipient": PERSON,
                "amount": {"type": "number"},
                "currency": text("ISO code.", enum=["EUR", "USD", "JPY"]),
                "kind": {"const": "transfer"},
                "labels": TEXTS,
            },
            ("recipient", "amount", "currency", "kind"),
        ),
        tool("invite", "Invite people.", {"guests": TEXTS, "levels": NUMBERS}, ("guests",)),
    ),
)
TOOLS = ToolSet([BANK])
FIND = PlannedStep(
    tool="find_people", arguments={"name": PlannedArgument(value="Ann Lee")}, needs=()
)


def said(value: Json) -> PlannedArgument:
    return PlannedArgument(value=value)


def from_first(field: str) -> PlannedArgument:
    return PlannedArgument(step=1, field=field)


def planned(name: str, request: str, **arguments: Any) -> tuple[PlannedCall, ...]:
    given = {key.replace("__", "."): value for key, value in arguments.items()}
    second = PlannedStep(tool=name, arguments=given, needs=(1,))
    return planned_calls([FIND, second], request, TOOLS, KnownFields())


PAYMENT: dict[str, Any] = {
    "recipient__id": from_first("first"),
    "recipient__name": said("Ann Lee"),
    "amount": said("50"),
    "currency": said("EUR"),
    "kind": said("transfer"),
    "labels": said("rent"),
}
REQUEST = "Send Ann Lee fifty... no, 50 euros, labelled rent."


def test_an_object_of_an_id_from_a_result_and_a_name_from_the_user() -> None:
    call = planned("pay", REQUEST, **PAYMENT)[1]
    assert call.arguments["recipient.id"].part_of == "recipient"
    assert resolved(call, {"c1": {"first": "p7"}}) == {
        "recipient": {"id": "p7", "name": "Ann Lee"},
        "amount": 50,
        "currency": "EUR",
        "kind": "transfer",
        "labels": ["rent"],
    }


def test_one_value_is_a_list_of_one() -> None:
    request = "Invite Ann Lee."
    call = planned("invite", request, guests=from_first("first"))[1]
    assert resolved(call, {"c1": {"first": "p7"}}) == {"guests": ["p7"]}
    both = planned("invite", request, guests__0=from_first("first"), guests__1=said("Ann Lee"))[1]
    assert resolved(both, {"c1": {"first": "p7"}}) == {"guests": ["p7", "Ann Lee"]}
    whole = planned("invite", request, guests=from_first("ids"))[1]
    assert resolved(whole, {"c1": {"ids": ["p7", "p8"]}}) == {"guests": ["p7", "p8"]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recipient__id": None}, "lacks 'recipient.id'"),
        ({"recipient__age": said("50")}, "no parameter 'recipient.age'"),
        ({"recipient": said({"id": "50", "name": "Ann Lee"})}, "in parts"),
        ({"recipient__name": said("Bob Day")}, "does not state 'Bob Day'"),
        ({"recipient__name": from_first("scores")}, "wants a string"),
        ({"currency": said("JPY")}, "does not state 'JPY'"),
        ({"kind": said("loan")}, "does not state|expected"),
        ({"amount": said("51")}, "does not state|wants"),
        ({"labels": from_first("scores")}, "list of strings"),
    ],
)
def test_plans_with_parts_that_do_not_hold(changes: dict[str, Any], told: str) -> None:
    arguments = {k: v for k, v in {**PAYMENT, **changes}.items() if v is not None}
    with pytest.raises(ValueError, match=told):
        planned("pay", REQUEST, **arguments)


def test_items_of_lists_are_compared() -> None:
    assert planned("invite", "Invite Ann Lee.", guests=from_first("ids"))
    for field in ("scores", "scores.0"):
        with pytest.raises(ValueError, match="list of strings"):
            planned("invite", "Invite Ann Lee.", guests=from_first(field))
    with pytest.raises(ValueError, match="list of numbers"):
        planned("invite", "Invite Ann Lee.", guests=from_first("ids"), levels=from_first("first"))


def test_only_what_is_open_is_asked_about() -> None:
    request = "Send Ann Lee 50 dollars."
    changes = {**PAYMENT, "currency": said("USD")}
    del changes["labels"]
    plan = planned("pay", request, **changes)
    assert [(each.parameter, each.value) for each in open_arguments(plan, request, TOOLS)] == [
        ("currency", "USD")
    ]


def test_variations_keep_the_words_of_the_request() -> None:
    task = TrajectoryTask(
        id="t",
        servers=(BANK.id,),
        kind="server",
        request=REQUEST,
        language="en",
        plan=planned("pay", REQUEST, **PAYMENT),
    )
    assert kept_words(task, TOOLS) == ["Ann Lee", "50", "euros", "rent"]
    good = "I owe Ann Lee 50 euros for the rent, please pay."
    assert variation_problem(task, good, TOOLS) == ""
    assert "'euros'" in variation_problem(task, good.replace("euros", "of them"), TOOLS)
    # In another spelling, it is still said.
    assert variation_problem(task, good.replace("50 euros", "€50"), TOOLS) == ""
