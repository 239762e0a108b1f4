"""An untrained model in which copying is laid out copies; one of random weights does not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from astra.errors import ConfigError
from astra.training.sft.rows import read_rows
from recipes.nano.induction import set_induction_heads
from recipes.nano.model import make_model, make_tokenizer
from recipes.nano.options import NanoOptions
from tests.training.sft_made import write_rows


def copied(tmp_path: Path, **options: object) -> float:
    """Share of the tokens of names, seen before in another order, that the model foretells."""
    rows = list(read_rows(write_rows(tmp_path / "rows.jsonl", 8)))
    made = NanoOptions(vocabulary=400, **options)  # type: ignore[arg-type]
    model = make_model(make_tokenizer(rows, made.vocabulary), made).eval()
    rng = random.Random(7)
    right = count = 0
    for _ in range(20):
        names = [rng.sample(range(20, 270), 5) for _ in range(4)]
        filler = rng.sample(range(20, 270), 20)
        ids = [*filler, *(token for name in names for token in [10, *name])]
        again = [token for name in rng.sample(names, 4) for token in [11, *name]]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids + again])).logits[0]
        told = logits.argmax(-1).tolist()
        for place in range(len(ids), len(ids) + len(again) - 1):
            if (place - len(ids)) % 6 not in (0, 5):  # within a name, after its first token
                right += told[place] == (ids + again)[place + 1]
                count += 1
    return right / count


@pytest.mark.parametrize("options", [{}, {"layers": 2, "heads": 2}, {"width": 192, "heads": 6}])
def test_laid_out_copying_copies_before_any_training(
    tmp_path: Path, options: dict[str, int]
) -> None:
    assert copied(tmp_path, **options) > 0.3


def test_random_weights_do_not(tmp_path: Path) -> None:
    assert copied(tmp_path, copying=False) < 0.05


def test_models_without_room_for_it_are_refused(tmp_path: Path) -> None:
    rows = list(read_rows(write_rows(tmp_path / "rows.jsonl", 8)))
    tokenizer = make_tokenizer(rows, 400)
    for options in ({"layers": 1}, {"heads": 1}):
        with pytest.raises(ConfigError, match="two layers"):
            make_model(tokenizer, NanoOptions(vocabulary=400, **options))
    set_induction_heads(make_model(tokenizer, NanoOptions(vocabulary=400, copying=False)))
