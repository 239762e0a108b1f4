"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from astra.errors import ConfigError

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
ArenaId = Annotated[
    str, typer.Argument(metavar="ID", help="Id of an arena, or its beginning.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Level = Literal["auto", "namespaces", "landlock", "unsafe"]
SandboxLevel = Annotated[
    Level,
    typer.Option(
        "--sandbox",
        help="How tool code is confined. auto: the strongest that works here. "
        "unsafe: not at all, with your rights.",
    ),
]
TeacherUrl = Annotated[
    str | None, typer.Option(help="The teacher's OpenAI-compatible endpoint, up to /v1.")
]
TeacherKeyEnv = Annotated[
    str | None, typer.Option(help="Environment variable with the teacher's key.")
]
TeacherTemperature = Annotated[
    float | None, typer.Option(min=0, help="The teacher's.  [default: the endpoint's]")
]
PromptFolder = Annotated[
    Path | None, typer.Option(help="Folder of prompt templates that go before ours.")
]
Prices = Annotated[Path | None, typer.Option(help='TOML file with [prices."model-name"].')]
Budget = Annotated[
    float | None, typer.Option(min=0, help="Most that the run folder may cost, by --prices.")
]
KeyEnv = Annotated[
    str | None, typer.Option(help="Environment variable that holds the endpoint's key.")
]
PerBand = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=20,
        help="Most irrelevant tools of each band, where they are drawn.  "
        "[default: as the folder was made]",
    ),
]


def as_range(text: str, option: str) -> tuple[int, int]:
    """Least and most of `1:5`; ConfigError."""
    low, _, high = text.partition(":")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise ConfigError(f"{option} {text!r}: write least:most, as in 1:5") from None


def as_shares(text: str, option: str, known: Sequence[str]) -> dict[str, float]:
    """name=share pairs; a name alone has share 1. ConfigError when none is above 0."""
    shares: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, share = part.partition("=")
        if name not in known:
            raise ConfigError(f"{option} {name!r}: choose among {', '.join(known)}")
        try:
            shares[name] = float(share or 1)
        except ValueError:
            raise ConfigError(f"{option} {part!r}: a share is a number, as in 0.5") from None
        if not 0 <= shares[name] < float("inf"):
            raise ConfigError(f"{option} {part!r}: a share is not negative")
    if not any(shares.values()):
        raise ConfigError(f"{option} {text!r}: name at least one with a share above 0")
    return shares
