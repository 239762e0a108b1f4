"""`credit.jsonl` and `astra credit show`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from astra.cli.main import run
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.training.credit.acpo import ACPO, ACPOSettings
from astra.training.credit.counterfactual import Counterfactual
from astra.training.credit.log import CreditLog, find_credit, read_credit
from astra.viewer.pages.credit import ShownCredit
from tests.training.made import CountingPolicy
from tests.training.test_credit_acpo import batch, problems
from tests.training.test_credit_attribution import arena

CREDIT = "credit.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of three steps that kept two rollouts of each."""
    replay = Counterfactual({"arena": arena()})
    with closing(CreditLog(RunFolder(tmp_path))) as keep:
        algorithm = ACPO(ACPOSettings(log_rollouts=2), replay=replay, keep=keep)
        for _ in range(3):
            algorithm.credit(batch(), CountingPolicy())
    return tmp_path


def test_rows_come_back(folder: Path):
    rows = list(read_credit(folder))
    assert [row.step for row in rows] == [0, 0, 1, 1, 2, 2]
    assert find_credit(folder, rows[3].id[:14]) == rows[3]


def test_the_pages_show_all_of_a_row(folder: Path):
    """They have records of their own, so that they need no torch."""
    for row in read_credit(folder):
        told = row.model_dump(mode="json")
        assert ShownCredit.model_validate(told).model_dump(mode="json") == told


def test_a_resumed_run_writes_its_steps_anew(folder: Path):
    before = (folder / CREDIT).read_bytes()
    with (folder / CREDIT).open("ab") as file:
        file.write(b'{"half of a li')
    whole = ACPO(ACPOSettings(log_rollouts=2), replay=Counterfactual({"arena": arena()}))
    whole.credit(batch(), CountingPolicy())
    with closing(CreditLog(RunFolder(folder))) as keep:
        resumed = ACPO(
            ACPOSettings(log_rollouts=2), replay=Counterfactual({"arena": arena()}), keep=keep
        )
        resumed.load_state_dict(whole.state_dict())
        for _ in range(2):
            resumed.credit(batch(), CountingPolicy())
    assert (folder / CREDIT).read_bytes() == before


def test_what_is_not_there_is_told(tmp_path: Path, folder: Path):
    with pytest.raises(StoreError, match="acpo"):
        list(read_credit(tmp_path / "elsewhere"))
    with pytest.raises(StoreError, match="no rollout 'zzz'"):
        find_credit(folder, "zzz")
    with pytest.raises(StoreError, match="give more"):
        find_credit(folder, "")
    (folder / CREDIT).write_text("{}\n")
    with pytest.raises(StoreError, match="line 1"):
        list(read_credit(folder))


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]):
    rows = list(read_credit(folder))
    assert run(["credit", "show", str(folder)]) == 0
    assert rows[0].id in capsys.readouterr().out
    assert run(["credit", "show", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 6
    assert run(["credit", "show", str(folder), rows[1].id]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("contribution", "exploration", "verified"))
    assert run(["credit", "show", str(folder), rows[1].id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rows[1].model_dump(mode="json")
    assert run(["credit", "show", str(folder), "zzz"]) == 2
    assert "zzz" in capsys.readouterr().err


def test_texts_of_a_model_do_not_drive_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    class Hostile(CountingPolicy):
        def decode(self, ids):  # type: ignore[no-untyped-def]
            return "\x1b[31m[bold]red\ud800"

    with closing(CreditLog(RunFolder(tmp_path))) as keep:
        ACPO(keep=keep).credit(problems(), Hostile())
    (first, *_) = read_credit(tmp_path)
    assert run(["credit", "show", str(tmp_path), first.id]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[31m" not in shown
    assert "[bold]" in shown
