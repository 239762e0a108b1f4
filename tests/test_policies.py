"""Reference policies: their scores are known beforehand, and random arguments fit."""

import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from astra.errors import ConfigError, ModelBadReply
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.arguments import random_arguments
from astra.models.policies import answer_text, gold_levels, policy
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Sampling
from astra.rewards import score
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import (
    Arena,
    CallStatus,
    Distractor,
    Goal,
    GoldCall,
    Matcher,
    Message,
    StopReason,
    Target,
)
from tests.support.fakes import InProcessSandbox
from tests.support.fakes import toy_arena as arena
from tests.support.fakes import toy_tool as tool


async def play(name: Any, shown: Arena, seed: int = 0) -> Any:
    far = Distractor.of(tool("far", {"z": 9}), "random")
    mixed = shown.model_copy(update={"distractors": (far,)})
    host = ArenaHost(mixed, InProcessSandbox())
    task = RolloutTask(shown.id, arena_messages(shown))
    return await rollout(task, policy(name, shown, seed), host, RolloutLimits())


def scored(shown: Arena, result: Any) -> Any:
    return score(result.calls, shown.goals, answer=result.answer, answer_target=shown.answer_target)


@pytest.mark.parametrize("hops", range(1, 13))
async def test_known_scores(hops: int):
    shown = arena(hops)
    for name, f1, right in (("gold", 1.0, True), ("null", 0.0, False), ("shuffled", 2 / 3, True)):
        result = await play(name, shown)
        assert result.stop is StopReason.answered
        assert scored(shown, result).f1 == f1
        assert scored(shown, result).answer_correct is right


async def test_gold_follows_levels_and_is_parallel_in_them():
    result = await play("gold", arena(3))
    assert [call.turn for call in result.calls] == [0, 1, 2]
    flat = arena(3)
    goals = tuple(goal.model_copy(update={"depends_on": ()}) for goal in flat.goals)
    result = await play("gold", flat.model_copy(update={"goals": goals}))
    assert [call.turn for call in result.calls] == [0, 0, 0]


def test_levels_see_through_answer_nodes():
    leaf = Goal(id="sum", question="?", answer=1, call=None, target=None, depends_on=("g0",))
    after = Goal(
        id="last",
        question="?",
        answer=1,
        call=GoldCall(tool="look_1", arguments={"key": "b"}),
        target=Target(matcher=Matcher.number, value=2, field="value"),
        depends_on=("sum",),
    )
    shown = arena(1)
    shown = shown.model_copy(update={"goals": (after, leaf, *shown.goals)})
    assert [[c.tool for c in level] for level in gold_levels(shown)] == [["look_0"], ["look_1"]]


def test_goals_in_a_circle_are_an_error_that_says_so():
    shown = arena(2)
    first = shown.goals[0].model_copy(update={"depends_on": ("g1",)})
    circle = shown.model_copy(update={"goals": (first, shown.goals[1])})
    for name in ("gold", "shuffled"):
        with pytest.raises(ConfigError, match="depend on each other"):
            policy(name, circle)


async def test_random_makes_as_many_valid_calls_as_there_are_goals():
    shown = arena(5)
    result = await play("random", shown)
    assert len(result.calls) == 5
    assert {call.status for call in result.calls} <= {CallStatus.ok, CallStatus.tool_error}
    same = await play("random", shown)
    other = await play("random", shown, seed=1)
    assert [c.arguments for c in same.calls] == [c.arguments for c in result.calls]
    assert [c.arguments for c in other.calls] != [c.arguments for c in result.calls]


async def test_shuffled_orders_differ_by_seed_only():
    shown = arena(5)
    orders = [[c.tool for c in (await play("shuffled", shown, s)).calls] for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert all(orders[0].count(f"look_{i}") == 2 for i in range(5))


async def test_random_with_no_tool_it_can_call_answers():
    model = policy("random", arena(2))
    reply = await model.generate(arena_messages(arena(2)), [], Sampling())
    assert reply.message.content and not reply.message.tool_calls


def test_answers_as_text():
    assert answer_text(("a", 2, 3.5)) == "a, 2, 3.5"
    assert answer_text(True) == "True"


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object"},
    {"type": "object", "properties": {"a": {"enum": [1, "x", None]}}, "required": ["a"]},
    {
        "type": "object",
        "properties": {
            "i": {"type": "integer", "minimum": 3, "maximum": 5},
            "n": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
            "m": {"type": "integer", "multipleOf": 7, "minimum": 10},
            "low": {"type": "integer", "maximum": -5},
            "s": {"type": "string", "minLength": 4, "maxLength": 4},
            "d": {"type": "string", "format": "date"},
            "b": {"type": "boolean"},
            "z": {"type": "null"},
            "c": {"const": {"x": 1}},
            "u": {"type": ["string", "null"]},
            "l": {"type": "array", "items": {"enum": list("abcdef")}, "uniqueItems": True},
            "k": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}},
            "o": {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer"}]},
            "r": {"$ref": "#/$defs/unit"},
            "any": {},
        },
        "required": ["i", "n", "m", "low", "s", "d", "c", "l", "k", "o", "r", "any"],
        "additionalProperties": False,
        "$defs": {"unit": {"type": "string", "enum": ["km", "mi"]}},
    },
    {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/tree"}},
        "required": ["tree"],
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {
                    "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                },
                "required": ["children"],
            }
        },
    },
    {"allOf": [{"type": "object"}, {"properties": {"a": {"type": "integer"}}, "required": ["a"]}]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_random_arguments_fit(schema: dict[str, Any]):
    made: set[str] = set()
    for seed in range(50):
        arguments = random_arguments(schema, random.Random(seed))
        assert arguments == random_arguments(schema, random.Random(seed))
        assert arguments is not None
        Draft202012Validator(schema).validate(arguments)
        made.add(repr(arguments))
    assert len(made) > 1 or schema == {"type": "object"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"pattern": "^[0-9]{9}$"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]},
        {
            "type": "object",
            "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 1}},
            "required": ["a"],
        },
        {"type": "object", "properties": {"a": {"$ref": "http://h/x"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]},
        {"type": "array"},
        {"type": 7},
        {"type": "object", "properties": {"a": {"type": 7}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"pattern": "("}}, "required": ["a"]},
        {"type": "object", "properties": 7},
        {"$ref": "#"},
    ],
)
def test_what_can_not_be_guessed_is_said_and_never_wrong(schema: dict[str, Any]):
    assert random_arguments(schema, random.Random(0)) is None


async def test_a_script_that_is_used_up_says_so():
    model = ScriptedModel([calling(("a", {})), "end"], name="mine")
    said = [Message(role="assistant")] * 2
    assert (await model.generate(said[:1], (), Sampling())).message.content == "end"
    with pytest.raises(ModelBadReply, match="'mine' has 2 replies"):
        await model.generate(said, (), Sampling())
