"""Makes a nano model from the rows that it will be trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from astra.cli.command import command_from
from astra.cli.console import out, print_json
from astra.errors import ConfigError
from astra.training.requirements import require_training
from recipes.command_line import Recipe
from recipes.nano.options import NanoOptions


@dataclass(frozen=True, kw_only=True)
class MakeNanoConfig(NanoOptions):
    """Rows."""

    dataset: Path | str
    """JSONL file of conversations."""
    out: Path | str
    """Model folder to write."""
    overwrite: bool = False
    """Replace the model that is in the folder."""


@command_from(
    MakeNanoConfig,
    examples=[
        "python -m recipes.nano --dataset sft/train.jsonl --out runs/nano",
        "python -m recipes.nano --dataset sft/train.jsonl --width 192 --heads 6 --out runs/small",
    ],
)
def command(config: MakeNanoConfig, *, as_json: bool) -> None:
    """Make a nano model: Qwen3's architecture, untrained, with a tokenizer learned from the rows.

    The result is a Hugging Face folder with a chat template for tools. Nothing is downloaded.
    """
    require_training()
    from transformers.utils.logging import disable_progress_bar

    from astra.training.sft.rows import read_rows
    from recipes.nano.model import make_nano

    folder = Path(config.out)
    if (folder / "config.json").exists() and not config.overwrite:
        raise ConfigError(f"{str(folder)!r} holds a model: give another --out, or --overwrite")
    disable_progress_bar()
    report = make_nano(list(read_rows(Path(config.dataset))), folder, config)
    if as_json:
        print_json({"out": str(folder), **report.model_dump()})
        return
    out().print(
        f"{report.parameters:,} parameters, {report.vocabulary} tokens in {folder}; "
        f"{report.tokens_per_row:.0f} tokens a row",
        markup=False,
        soft_wrap=True,
    )


main = Recipe("python -m recipes.nano", command)

if __name__ == "__main__":
    raise SystemExit(main())
