"""Reads the frames of a language's questions from the TOML file beside this module."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Frames:
    """Texts around noun phrases. A frame that is listed twice is drawn twice as often."""

    ask: tuple[str, ...]
    row: tuple[str, ...]
    items: tuple[str, ...]
    first_introductions: tuple[str, ...]
    next_introductions: tuple[str, ...]
    lettered_introductions: tuple[str, ...]
    openings: tuple[str, ...]
    """Empty texts included: most questions have no opening."""
    closings: tuple[str, ...]
    node: dict[str, tuple[str, ...]]
    ask_number: tuple[str, ...] = ()
    ask_date: tuple[str, ...] = ()

    def of_node(self, joined: str) -> tuple[str, ...]:
        """Frames of an answer node: "sum", "difference", "maximum" or "minimum"."""
        return self.node.get(joined, self.node["extreme"])


def read_frames(language: str) -> Frames:
    """The frames in `<language>.toml`."""
    content = tomllib.loads(Path(__file__).with_name(f"{language}.toml").read_text("utf-8"))
    node = {name: tuple(frames) for name, frames in content.pop("node").items()}
    for ends in ("openings", "closings"):
        content[ends] = [""] * content.pop(f"plain_{ends}") + content[ends]
    return Frames(node=node, **{name: tuple(frames) for name, frames in content.items()})
