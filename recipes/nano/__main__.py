"""Makes a small untrained model from the rows that it will be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astra.cli.console import out, print_json
from astra.cli.options import AsJson, require_training
from astra.errors import ConfigError
from recipes.command_line import RecipeCommand


def nano_command(
    rows: Annotated[
        Path, typer.Option("--rows", help="JSONL of conversations.", show_default=False)
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="The model folder to write.", show_default=False)
    ],
    vocabulary: Annotated[int, typer.Option(min=300, help="Tokens of the tokenizer.")] = 768,
    width: Annotated[int, typer.Option(min=16, help="Width of the layers.")] = 128,
    layers: Annotated[int, typer.Option(min=1, help="Number of layers.")] = 4,
    heads: Annotated[int, typer.Option(min=1, help="Attention heads.")] = 4,
    max_length: Annotated[int, typer.Option(min=128, help="Longest sequence in tokens.")] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
    copying: Annotated[
        bool, typer.Option(help="Lay out copying in the first weights; --no-copying: all random.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder's model.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a nano model: Qwen3's architecture, untrained, with a tokenizer learned from the rows.

    It is a normal HuggingFace folder with a chat template for tools. Nothing is downloaded.

    \b
    Examples:
      python -m recipes.nano --rows sft/train.jsonl --out runs/nano
      python -m recipes.nano --rows sft/train.jsonl --width 192 --heads 6 --out runs/n
    """
    require_training()
    from transformers.utils.logging import disable_progress_bar

    from astra.training.sft.rows import read_rows
    from recipes.nano.model import NanoOptions, make_nano

    if (out_folder / "config.json").exists() and not force:
        raise ConfigError(
            f"{str(out_folder)!r} holds a model: give another --out, or --force to replace it"
        )
    disable_progress_bar()
    options = NanoOptions(vocabulary, width, layers, heads, max_length, seed, copying)
    report = make_nano(list(read_rows(rows)), out_folder, options)
    if as_json:
        print_json({"out": str(out_folder), **report.model_dump()})
        return
    out().print(
        f"{report.parameters:,} parameters, {report.vocabulary} tokens in {out_folder}; "
        f"{report.tokens_per_row:.0f} tokens a row\n"
        f"next: astra train sft --rows {rows} --model {out_folder} --preset nano --out runs/sft",
        markup=False,
        soft_wrap=True,
    )


main = RecipeCommand("python -m recipes.nano", nano_command)

if __name__ == "__main__":
    raise SystemExit(main())
