"""verl's agent loop on published arenas, with a scripted client on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from astra.arenas.sets import ArenaSet
from astra.exports.published import PublishedArenas
from tests.integrations.conftest import ReaderEnvironment, assert_nothing_is_told, exported

pytestmark = pytest.mark.integrations


@pytest.mark.parametrize(("name", "reward"), [("gold", 1.0), ("null", 0.0)])
def test_known_policies_have_their_rewards(
    arenas: ArenaSet, verl: ReaderEnvironment, name: str, reward: float, tmp_path: Path
) -> None:
    from tests.support.trl_rollouts import byte_pairs

    folder = exported(arenas, "verl", tmp_path / "published")
    rows = PublishedArenas(folder).rows()
    byte_pairs(json.dumps(row, ensure_ascii=False) for row in rows).save_pretrained(tmp_path / "t")
    script = str(Path(__file__).parent / "verl_loop.py")
    printed = verl.run("python", script, str(folder), str(tmp_path / "t"), name, cwd=tmp_path)
    found = [line for line in printed.splitlines() if line.startswith("rewards: ")]
    assert found, printed[-3000:]
    rewards = json.loads(found[0].removeprefix("rewards: "))
    assert rewards == dict.fromkeys(arenas.ids, reward)
    if name == "gold":
        return
    # What verl's trainer may write down: its rows, whose ground truth `rollout_data_dir` dumps, and
    # what the loop hands to it.
    for path in (folder / "data").glob("*.parquet"):
        table = json.dumps(parquet.read_table(path).to_pylist(), ensure_ascii=False)
        (tmp_path / "outputs" / f"{path.stem}.json").write_text(table, "utf-8")
    assert len(list((tmp_path / "outputs").iterdir())) > len(arenas)
    assert_nothing_is_told(arenas, tmp_path / "outputs")
