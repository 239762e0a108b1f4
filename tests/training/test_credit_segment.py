"""Cutting free reasoning into steps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astra.errors import ConfigError
from astra.training.credit.segment import Segmentation, pieces, segment, sentence_ends


def decode_bytes(ids: Sequence[int]) -> str:
    """A byte per token."""
    return bytes(ids).decode(errors="replace")


class Words:
    """A tokenizer whose tokens are those it is given."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.texts[number] for number in ids)

    @property
    def ids(self) -> list[int]:
        return list(range(len(self.texts)))


def cut(texts: Sequence[str], entropies: Sequence[float], **options: float) -> list[str]:
    """The steps as texts."""
    words = Words(texts)
    chosen = {"quantile": 0.2, "shortest": 1, "most": 12, **options}
    steps = segment(words.ids, entropies, words.decode, Segmentation(**chosen))  # type: ignore[arg-type]
    assert steps == sorted(steps)
    found = ["" for _ in range(max(steps) + 1)]
    for step, text in zip(steps, texts, strict=True):
        found[step] += text
    return found


@pytest.mark.parametrize(
    ("texts", "ends"),
    [
        (["One", ".", " Two", "."], [2, 4]),
        (["It", " is", " 3", ".", "14", " m", "."], [7]),
        (["a", "\n\n", "b", "\n", "c"], [2, 4]),
        (["end", ".\n\n", "next"], [2]),
        (["end", ".", "\n\n", "next"], [3]),
        (["end", ".\n\nNe", "xt"], [2]),  # the token that holds the end and more
        (["他走", "了", "。", "她来", "了", "！"], [3, 6]),
        (["He said", ' "no', '."', " Then"], [3]),
        (["what", "?!", " yes", "..."], [2, 4]),
        (["no", " end"], []),
        ([], []),
    ],
)
def test_where_sentences_end(texts: list[str], ends: list[int]):
    assert sentence_ends(texts) == ends


def test_a_cut_needs_an_end_and_an_unsure_next_token():
    texts = ["A", ".", " B", ".", " C", " d", ".", " E", " f", "."]
    flat = [0.1] * 10
    unsure = [*flat[:2], 2.0, *flat[3:5], 3.0, *flat[6:]]  # after the first end; inside " C d"
    assert cut(texts, unsure) == ["A.", " B. C d. E f."]
    assert cut(texts, [*unsure[:7], 2.5, *unsure[8:]], quantile=0.3) == ["A.", " B. C d.", " E f."]
    assert cut(texts, [0.0] * 10) == ["".join(texts)]


def test_a_sentence_that_begins_with_what_is_copied():
    texts = ["3", " boxes", ".", " 3", " times", " 4", " is", " 12", ".", " So", " 12", "."]
    entropies = [0.1, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 2.0, 0.0, 0.3, 0.0, 0.0]
    assert cut(texts, entropies, quantile=0.05) == ["".join(texts)]
    assert cut(texts, entropies, quantile=0.05, lookahead=4) == ["".join(texts)]
    parted = ["3 boxes.", " 3 times 4 is 12.", " So 12."]
    assert cut(texts, entropies, quantile=0.05, lookahead=5) == [parted[0], "".join(parted[1:])]
    assert cut(texts, entropies, quantile=0.2, lookahead=5) == parted
    # The one with the less sure next tokens stays.
    assert cut(texts, entropies, quantile=0.2, lookahead=5, most=2)[0] == parted[0]


def test_short_steps_join_their_neighbour():
    texts = ["a", ".", " b", ".", " c", " c", " c", ".", " d", "."]
    entropies = [0, 0, 1.0, 0, 1.0, 0, 0, 0, 1.0, 0]
    assert cut(texts, entropies, quantile=0.3) == ["a.", " b.", " c c c.", " d."]
    assert cut(texts, entropies, quantile=0.3, shortest=3) == ["a. b.", " c c c. d."]


def test_the_least_sure_boundaries_stay():
    texts = ["a.", " b.", " c.", " d.", " e."]
    entropies = [0.0, 1.0, 3.0, 2.0, 1.0]
    assert cut(texts, entropies, quantile=1.0, most=3) == ["a. b.", " c.", " d. e."]
    assert cut(texts, entropies, quantile=1.0, most=1) == ["a. b. c. d. e."]
    assert cut(texts, [0.0, 1.0, 1.0, 1.0, 1.0], quantile=1.0, most=2) == ["a.", " b. c. d. e."]


def test_characters_over_several_tokens():
    ids = list("好。Ja. ".encode())
    assert pieces(ids, decode_bytes) == ["", "", "好", "", "", "。", "J", "a", ".", " "]
    assert sentence_ends(pieces(ids, decode_bytes)) == [6, 9]
    assert "".join(pieces([0xE5, 0xA5], decode_bytes)) == "\ufffd"
    assert pieces([0xFF, 0xFF, 0xFF, 0xFF, 0x41], decode_bytes)[-1] == "A"


def test_another_tokenisation_has_its_ends_at_the_same_characters():
    text = "First we add. Then 3.5 more!\n\nSo it is 7.\nDone"
    bytewise = sentence_ends(pieces(list(text.encode()), decode_bytes))
    words = ["First", " we", " add", ".", " Then", " 3", ".", "5", " more", "!", "\n\n"]
    words += ["So", " it", " is", " 7", ".", "\n", "Done"]
    assert "".join(words) == text
    wordwise = [len("".join(words[:end])) for end in sentence_ends(words)]
    assert wordwise == bytewise


def test_it_never_encodes():
    # "ab" as one token or as two: the steps are those of the tokens given, whatever they join to.
    one = segment([0, 1, 2], [0, 0, 1.0], Words(["ab", ".", " c"]).decode, Segmentation(shortest=1))
    two = segment(
        [0, 1, 2, 3], [0, 0, 0, 1.0], Words(["a", "b", ".", " c"]).decode, Segmentation(shortest=1)
    )
    assert (one, two) == ([0, 0, 1], [0, 0, 0, 1])


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([".", " a", "\n", "。", "3", "\ufffd"]), st.floats(0, 5)),
        max_size=80,
    ),
    st.floats(0.01, 1),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 12),
)
def test_bounds_hold(tokens, quantile, shortest, most, lookahead):  # type: ignore[no-untyped-def]
    words = Words([text for text, _ in tokens])
    chosen = Segmentation(quantile, shortest, most, lookahead)
    steps = segment(words.ids, [entropy for _, entropy in tokens], words.decode, chosen)
    assert len(steps) == len(tokens)
    assert steps == sorted(steps)
    numbers = set(steps)
    assert numbers == set(range(len(numbers)))
    assert len(numbers) <= most
    if len(numbers) > 1:
        assert min(steps.count(number) for number in numbers) >= shortest


@pytest.mark.parametrize(
    "options", [{"quantile": 0.0}, {"shortest": 0}, {"most": 0}, {"lookahead": 0}]
)
def test_impossible_settings_are_refused(options: dict[str, int]):
    with pytest.raises(ConfigError):
        Segmentation(**options)
