"""What is computed once: ids of records, and results kept by the identity of an object."""

from __future__ import annotations

from collections.abc import Sequence

from astra.arenas import distractors
from astra.core.kept import kept_by_identity
from astra.types import Arena, Distractor
from tests.support.arenas import calories_tool, capital_tool, single_hop_arena, with_distractors


def mix(drawn: Sequence[Distractor], arena: Arena) -> Arena:
    return distractors.with_distractors(arena, drawn)


def test_an_id_is_that_of_the_content_after_a_copy_with_changes() -> None:
    tool = capital_tool()
    before = tool.id
    changed = tool.model_copy(update={"source": tool.source + "\n"})
    assert changed.id != before == tool.model_copy().id
    arena = with_distractors(single_hop_arena(), calories_tool()).with_content_id()
    assert arena.id == arena.content_id
    asked = arena.model_copy(update={"question": "Which one?"})
    assert asked.content_id != arena.content_id == asked.id
    assert asked.with_content_id().content_id == asked.content_id
    assert type(arena).model_validate(arena.model_dump()).content_id == arena.content_id


def test_the_id_without_distractors_is_that_of_the_arena_before_they_were_mixed_in() -> None:
    bare = single_hop_arena().with_content_id()
    mixed = mix([Distractor.of(calories_tool(), "low", 0.25)], bare)
    assert mixed.bare_id == bare.bare_id == bare.id != mixed.id
    assert mix([], mixed).bare_id == bare.id
    assert type(mixed).model_validate(mixed.model_dump()).bare_id == bare.id
    # Not kept where something else was changed, too.
    assert mixed.model_copy(update={"question": "Which one?"}).bare_id != bare.id


def test_a_distractor_has_the_id_of_its_tool() -> None:
    tool = calories_tool()
    distractor = Distractor.of(tool, "low", 0.25)
    read_again = Distractor.model_validate_json(distractor.model_dump_json())
    assert distractor.id == read_again.id == tool.id
    assert distractor.model_copy(update={"source": "other"}).id != tool.id
    assert distractor == read_again and "id" not in distractor.model_dump()


def test_results_are_kept_for_one_object_and_go_in_turn() -> None:
    asked: list[list[int]] = []

    @kept_by_identity(2)
    def total(numbers: list[int]) -> int:
        asked.append(numbers)
        return sum(numbers)

    first, second, third = [1, 2], [1, 2], [4]
    assert [total(first), total(first), total(second)] == [3, 3, 3]
    assert len(asked) == 2  # equal, and yet another one
    assert total(third) == 4
    assert [total(second), total(third)] == [3, 4] and len(asked) == 3
    assert total(first) == 3 and len(asked) == 4
