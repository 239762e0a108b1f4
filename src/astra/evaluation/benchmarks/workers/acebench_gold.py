"""What solves the agent tasks of ACEBench.

The data name calls that ought to be made ("milestones"), as text that is not always Python, and
that does not always reach the state that the checker wants. What is wrong is repaired here.
"""

import ast
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from calls import literal  # pyright: ignore[reportMissingImports]

Call = tuple[str, dict[str, Any]]
_APOSTROPHE = re.compile(r"(?<=[^\s=\[{(,:\\])'(?=[^\s,)\]}:])|(?<=[A-Za-z])'(?= [a-z(])")
"""An apostrophe within a text that apostrophes enclose."""


class Repair(NamedTuple):
    """How a step of the data is changed, so that the state at the end is the one wanted."""

    call: str
    """Name of the call that it is about. The first of a task, if empty."""
    arguments: dict[str, Any] = {}
    """Arguments with other values than in the data."""
    before: tuple[Call, ...] = ()
    """Calls that the data forget to make before it."""


_PIZZA = Repair(
    # The product of this name exists; that of the data does not.
    "add_food_delivery_order",
    {"items": [{"product": "Super Supreme Pizza", "quantity": 1}]},
)
_HELEN = Repair(
    # Who is not logged in can't order.
    "add_food_delivery_order",
    before=(("login_food_platform", {"username": "Helen", "password": "password321"}),),
)
_LATEST = Repair(
    # The question and the state at the end delete the latest message; the data, the earliest.
    "delete_message",
    {"message_id": 4},
)
_PRICE = Repair(
    # The state at the end has no full stop.
    "send_message",
    {"message": "The price of the purchased goods is 198.0 yuan"},
)
_LOGIN = Repair("", before=(("login_device", {}),))  # without it nothing can be read
REPAIRS: dict[str, tuple[Repair, ...]] = {
    "en_multi_step_0": (_PIZZA,),
    "en_multi_step_1": (_PIZZA,),
    "en_multi_step_12": (_HELEN,),
    "en_multi_step_13": (_HELEN,),
    "en_multi_step_14": (_LATEST, _PRICE),
    "en_multi_step_15": (_LATEST, _PRICE),
    "en_multi_step_16": (_LOGIN, _LATEST, _PRICE),
    "en_multi_step_17": (_LATEST, _PRICE),
    "zh_multi_step_12": (_HELEN,),
    "zh_multi_step_13": (_HELEN,),
    "zh_multi_step_14": (_LATEST,),
    "zh_multi_step_15": (_LATEST,),
    "zh_multi_step_16": (_LATEST,),
    "zh_multi_step_17": (_LATEST,),
    "en_multi_turn_6": (_LOGIN,),
    "zh_multi_turn_6": (_LOGIN,),
}


def gold_calls(task: str, milestones: Sequence[Any]) -> list[list[Call]]:
    """The calls that solve a task, by step. The first of several ways is taken."""
    texts = milestones[0] if milestones and isinstance(milestones[0], list) else milestones
    steps = [_calls(text) for text in texts]
    for repair in REPAIRS.get(task, ()):
        place = next(number for number, step in enumerate(steps) if repair.call in ("", step[0][0]))
        steps[place] = [(name, arguments | repair.arguments) for name, arguments in steps[place]]
        steps[place:place] = [[call] for call in repair.before]
    return steps


def _calls(text: str) -> list[Call]:
    text = text.strip()
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        tree = ast.parse(_APOSTROPHE.sub("\\'", text), mode="eval")
    calls = cast(list[ast.Call], cast(ast.List, tree.body).elts)
    return [
        (cast(ast.Name, call.func).id, {str(k.arg): literal(k.value) for k in call.keywords})
        for call in calls
    ]
