"""A large run folder of arenas from a small one: `python -m benchmarks.multiplied RUN OUT COUNT`.

Every row is that of a real arena under another key, with the id that its content then has and its
certificate for that id, so that all that reads a folder takes it for a made one. What it can't
show: more tools than the small run has, and questions that differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
from itertools import cycle, islice
from pathlib import Path

from astra.arenas.folder import ARENAS, CERTIFICATES
from astra.arenas.pipeline import CANDIDATE_CERTIFICATES, CANDIDATES
from astra.runs.folder import RunFolder
from astra.types import Json, arena_id


def multiply(real: Path, out: Path, count: int) -> Path:
    """Write a run folder of `count` arenas with the rows of a real one. Returns `out`."""
    source, folder = RunFolder.open(real), RunFolder(out)
    out.mkdir(parents=True)
    for name in ("config.toml", "manifest.json", "tools.jsonl", "databases.jsonl"):
        if source.exists(name):
            shutil.copyfile(real / name, out / name)
    with folder.lock():
        for rows, told in ((CANDIDATES, CANDIDATE_CERTIFICATES), (ARENAS, CERTIFICATES)):
            certificates = {row["arena"]: row for _, row in source.values(told)}
            arenas = [row for _, row in source.values(rows)]
            with folder.append(rows) as log, folder.append(told) as certificate_log:
                for number, row in enumerate(islice(cycle(arenas), count)):
                    provenance = row["provenance"] | {"key": f"many-{number:07d}"}
                    new = row | {"provenance": provenance}
                    new["id"] = arena_id(new)
                    log.append([_line(new)])
                    certificate_log.append([_line(certificates[row["id"]] | {"arena": new["id"]})])
    return out


def _line(row: Json) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    multiply(options.run, options.out, options.count)
