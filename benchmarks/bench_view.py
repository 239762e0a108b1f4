"""`astra view` over a run folder of 100,000 arenas: how soon it opens, and how fast it filters.

The folder is made of real arenas with other ids and questions, and deleted in the end: about 2 GB.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import astra
from benchmarks.memory import peak_mib

ARENAS = 100_000
REAL = 50
ROOT = Path(__file__).parents[1]
QUERIES: dict[str, dict[str, str]] = {
    "one scenario": {"scenario": "multi_hop"},
    "language, hops, domain": {"language": "en", "least-hops": "3", "split": "train"},
    "a word": {"q": "which"},
    "words that one row has": {"q": "number 77777."},
    "sorted by hops": {"sort": "-hops"},
    "sorted by the question": {"sort": "text"},
    "filtered, searched and sorted": {"q": "what", "language": "en", "sort": "-tools"},
    "the last page": {"page": "2000"},
}


def measure() -> dict[str, Any]:
    """Figures of one server over a folder that is made for it."""
    with tempfile.TemporaryDirectory() as folder:
        real = Path(folder) / "real"
        astra.make_arenas(str(ROOT / "examples/world"), count=REAL, seed=7, out=real)
        many = Path(folder) / "many"
        write_many(real, many, ARENAS)
        return view_figures(many, ARENAS)


def write_many(real: Path, many: Path, count: int) -> None:
    """A run folder whose rows are those of a real one, again and again."""
    many.mkdir()
    (many / "config.toml").write_bytes((real / "config.toml").read_bytes())
    (many / "tools.jsonl").write_bytes((real / "tools.jsonl").read_bytes())
    lines = (real / "arenas.jsonl").read_bytes().splitlines(keepends=True)
    told = (real / "certificates.jsonl").read_bytes().splitlines(keepends=True)
    certificates = {json.loads(line)["arena"]: line for line in told}
    rows = [(line, json.loads(line)["id"]) for line in lines]
    with (many / "arenas.jsonl").open("wb") as a, (many / "certificates.jsonl").open("wb") as c:
        for number in range(count):
            line, own = rows[number % len(rows)]
            new = f"{number:016x}".encode()
            asked = b'"question":"' + f"Number {number}. ".encode()
            a.write(line.replace(own.encode(), new).replace(b'"question":"', asked, 1))
            c.write(certificates[own].replace(own.encode(), new))


def view_figures(many: Path, count: int) -> dict[str, Any]:
    """What a server over a folder of so many arenas takes."""
    with _server(many) as (process, address, started):
        page = f"{address}/{many.name}/arenas.html"
        first = _get(page)
        opened = time.perf_counter() - started
        if first.count('class="row"') != 50:
            raise RuntimeError("the first page does not show 50 rows")
        meanwhile: list[float] = []
        while " so far: " in _get(page):
            # Half of them filter, in rows that are just being read.
            asked = list(QUERIES.values())[len(meanwhile) % len(QUERIES)]
            meanwhile.append(_seconds(page, asked if len(meanwhile) % 2 else {}))
            time.sleep(0.5)
        indexed = time.perf_counter() - started
        if f"{count:,} rows" not in _get(page):
            raise RuntimeError(f"the list does not count {count} rows")
        times = {n: [_seconds(page, asked) for _ in range(5)] for n, asked in QUERIES.items()}
        row = _seconds(f"{address}/{many.name}/arenas/{count - 1:016x}.html", {})
        memory = peak_mib(process)
    slowest = 1000 * max(statistics.median(each) for each in times.values())
    name = f"view, {count:,} arenas"
    figures = {
        f"{name}: start to first list": _figure(opened, "<= 2", "s", opened <= 2),
        f"{name}: slowest list (median)": _figure(slowest, "<= 300", "ms", slowest <= 300),
        f"{name}: all indexed after": _figure(indexed, None, "s"),
        f"{name}: slowest page meanwhile": _figure(1000 * max(meanwhile, default=0), None, "ms"),
        f"{name}: last arena": _figure(1000 * row, None, "ms"),
        f"{name}: peak memory": _figure(memory, None, "MiB"),
    }
    for query, each in times.items():
        figures[f"{name}: {query}"] = _figure(1000 * statistics.median(each), None, "ms")
    return figures


@contextmanager
def _server(many: Path) -> Iterator[tuple[int, str, float]]:
    """(process, address, when it was started) of `astra view`."""
    command = [sys.executable, "-m", "astra", "view", str(many), "--no-open", "--port", "0"]
    started = time.perf_counter()
    # As it is installed: what Python compiled once is kept.
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            address = process.stderr.readline().split()[-1]
            yield process.pid, address, started
        finally:
            process.terminate()


def _get(address: str) -> str:
    with urllib.request.urlopen(address) as answer:
        return answer.read().decode()


def _seconds(page: str, asked: dict[str, str]) -> float:
    start = time.perf_counter()
    _get(f"{page}?{urlencode(asked)}" if asked else page)
    return time.perf_counter() - start


def _figure(value: float, goal: str | None, unit: str, ok: bool | None = None) -> Any:
    return {"value": value, "goal": goal, "unit": unit, "ok": ok}
