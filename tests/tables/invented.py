"""Invented names, and a writer of CSV files, for folders in the shapes of public data."""

from __future__ import annotations

import csv
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

Rows = list[Sequence[object]]

FIRST = "Ada Bo Cy Dora Ed Flo Gus Hal Ida Jon Kay Leo Mia Ned Ora Pia".split()
LAST = "Abbott Brooks Carver Dunn Ellis Foster Grant Hayes Irwin Jones Keller Lowe".split()
PLACES = (
    ("Springfield", "IL", "USA"), ("Springfield", "MA", "USA"), ("Portland", "OR", "USA"),
    ("Portland", "ME", "USA"), ("Lyon", "", "France"), ("Graz", "", "Austria"),
    ("Bergen", "", "Norway"), ("Kyoto", "", "Japan"), ("Cork", "", "Ireland"),
)  # fmt: skip
ADJECTIVES = "Amber Blue Crimson Dusty Electric Frozen Golden Hollow Ivory Jade".split()
NOUNS = (
    "River Lantern Mirror Harbor Garden Engine Shadow Winter Canyon Orchid Meadow Signal".split()
)


def people_names(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """First and last names; first names repeat, whole names do not."""
    return rng.sample(list(itertools.product(FIRST, LAST)), count)


def titles(rng: random.Random, count: int) -> list[str]:
    return [
        " ".join(pair) for pair in rng.sample(list(itertools.product(ADJECTIVES, NOUNS)), count)
    ]


def write(path: Path, header: str, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split())
        writer.writerows(rows)
