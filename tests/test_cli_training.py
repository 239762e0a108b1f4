"""The commands of training, from arenas to a fine-tuned model and its curves."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.runs.folder import RunFolder
from astra.training.presets.resolve import require_known, resolve, settings_line
from astra.training.rl.train import open_environment
from recipes.nano.__main__ import main as nano_main

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a few arenas."""
    made = tmp_path_factory.mktemp("training") / "world"
    tables = str(ROOT / "examples/world")
    arguments = ["--tables", tables, "--count", "14", "--max-hops", "3", "--out", str(made)]
    assert run(["arenas", "make", *arguments, "--seed", "3"]) == 0
    return made


def exported(world: Path, out: Path, *options: str) -> list[dict[str, Any]]:
    command = ["arenas", "export", str(world), "--format", "sft", "--out", str(out), *options]
    assert run(command) == 0
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def test_the_first_arenas_are_for_sft_and_rl_plays_the_others(world: Path, tmp_path: Path) -> None:
    everything = exported(world, tmp_path / "all.jsonl")
    first = exported(world, tmp_path / "first.jsonl", "--limit", "3", "--renamed-copies", "1")
    assert [row["arena"] for row in first] == [row["arena"] for row in everything[:3]] * 2
    config = TrainRLConfig(
        model="m", arenas=world, out=tmp_path / "rl", exclude_rows=tmp_path / "first.jsonl"
    )
    assert open_environment(config).tasks() == [row["arena"] for row in everything[3:]]


def test_gold_episodes_are_of_the_train_split_with_reasons(world: Path, tmp_path: Path) -> None:
    arenas = [json.loads(x) for x in (world / "arenas.jsonl").read_text("utf-8").splitlines()]
    train = {a["id"]: a for a in arenas if a["split"] == "train"}
    rows = exported(world, tmp_path / "sft/train.jsonl")
    assert [row["arena"] for row in rows] == list(train)
    for row in rows:
        arena = train[row["arena"]]
        messages, tools = row["messages"], row["tools"]
        assert len(tools) == len(arena["tools"]) + len(arena["distractors"])
        calls = [c["function"] for m in messages for c in m.get("tool_calls", ())]
        wanted = [g["call"] for g in arena["goals"] if g["call"]]
        assert sorted(json.dumps(c["arguments"], sort_keys=True) for c in calls) == sorted(
            json.dumps(w["arguments"], sort_keys=True) for w in wanted
        )
        reasons = " ".join(m["content"] for m in messages if m.get("tool_calls"))
        assert all(g["question"] in reasons for g in arena["goals"] if g["call"])
        results = [m["content"] for m in messages if m["role"] == "tool"]
        assert len(results) == len(calls)
        assert all("error" not in json.loads(text) for text in results)


def test_renamed_copies_agree_with_themselves(world: Path, tmp_path: Path) -> None:
    options = ("--no-reasoning", "--renamed-copies", "2")
    rows = exported(world, tmp_path / "a.jsonl", *options)
    count = len(rows) // 3
    assert exported(world, tmp_path / "b.jsonl", *options) == rows
    changed = 0
    for index, row in enumerate(rows[count:]):
        original = rows[index % count]
        assert row["tools"] == original["tools"]
        assert row["copy"] == 1 + index // count
        calls = [c["function"] for m in row["messages"] for c in m.get("tool_calls", ())]
        before = [c["function"] for m in original["messages"] for c in m.get("tool_calls", ())]
        assert [c["name"] for c in calls] == [c["name"] for c in before]
        assert [set(c["arguments"]) for c in calls] == [set(c["arguments"]) for c in before]
        known = json.dumps([m["content"] for m in row["messages"]], ensure_ascii=False)
        was = json.dumps([m["content"] for m in original["messages"]], ensure_ascii=False)
        for old, new in zip(before, calls, strict=True):
            for name, value in new["arguments"].items():
                if isinstance(value, str) and str(old["arguments"][name]) in was:
                    assert value in known
                changed += value != old["arguments"][name]
    assert changed > count


def test_from_rows_to_a_model_and_its_curves(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, nano, sft = tmp_path / "rows.jsonl", tmp_path / "nano", tmp_path / "sft"
    exported(world, rows, "--no-reasoning")
    small = ["--vocabulary", "400", "--width", "32", "--layers", "2"]
    command = ["--dataset", str(rows), "--out", str(nano)]
    assert nano_main([*command, *small]) == 0
    assert nano_main(command) == 2
    train = ["train", "sft", "--dataset", str(rows), "--model", str(nano), "--preset", "nano"]
    train += ["--batch-size", "2", "--trl", "logging_steps=1", "--json"]
    capsys.readouterr()
    assert run([*train, "--out", str(sft)]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert Path(report["model"]) == sft / "final"
    assert report["trained_tokens"] < report["tokens"]
    for setting in ("learning_rate=0.003", "batch_size=2", "lr_schedule=cosine"):
        assert setting in said.err
    assert run([*train, "--out", str(sft), "--if-exists", "fail"]) == 2
    assert "--if-exists" in capsys.readouterr().err
    plots = tmp_path / "plots"
    assert run(["plot", str(sft), "--x-axis", "num_tokens", "--out", str(plots)]) == 0
    with (plots / "loss.csv").open(encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    assert len(points) == report["steps"]
    assert float(points[-1]["loss"]) == report["loss"]
    assert (plots / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert run(["plot", str(sft), "--metric", "nope", "--out", str(plots)]) == 2
    assert "'nope'" in capsys.readouterr().err
    with RunFolder(plots).lock():
        before = (plots / "loss.csv").stat()
        assert run(["plot", str(sft), "--out", str(plots)]) == 2
        assert "another process is writing" in capsys.readouterr().err
        assert (plots / "loss.csv").stat() == before
    # A finished run is still its writer's, too.
    with RunFolder(sft).lock():
        assert run([*train, "--out", str(sft)]) == 2


# --- what is said and refused before anything is trained or played ----------------------------


@pytest.mark.parametrize("command", [["sft", "--dataset"], ["rl", "--arenas"]], ids=["sft", "rl"])
def test_keys_among_the_options_of_trl_are_refused_unshown(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "nowhere")
    where = [nowhere, "--model", nowhere, "--out", str(tmp_path / "out"), "--preset", "nano"]
    file = tmp_path / "options.toml"
    for name, option in (
        ("hub_token", 'hub_token = "hf_first"'),
        ("model_init_kwargs.token", 'model_init_kwargs = {token = "hf_first"}'),
    ):
        file.write_text(f"[trl]\n{option}\n")
        assert run(["train", *command, *where, f"@{file}"]) == 2
        said = capsys.readouterr().err
        assert f"trl {name!r}: a key is not an option" in said and "HF_TOKEN" in said
        assert "hf_first" not in said


def test_secrets_are_not_printed_with_the_preset() -> None:
    nested = {"token": "hf_second", "revision": "main"}
    trl = {"hub_token": "hf_first", "model_init_kwargs": nested}
    config = TrainSFTConfig(model="m", dataset="d", out="o", learning_rate=0.01, trl=trl)
    shown = settings_line(config, "preset")
    assert "hub_token=***" in shown and "model_init_kwargs.token=***" in shown
    assert "hf_first" not in shown and "hf_second" not in shown
    assert "revision=main" in shown and "learning_rate=0.01" in shown


def test_settings_of_a_file_fill_what_is_not_typed() -> None:
    from trl import GRPOConfig

    typed = TrainRLConfig(
        model="m", arenas="a", out="o", preset=ROOT / "recipes/longer.toml", group_size=4
    )
    config, about = resolve(typed, "rl")
    assert "longer questions" in about
    assert (config.batch_size, config.group_size, config.truncated) == (32, 4, "zero")
    assert config.trl["scale_rewards"] == "none"
    require_known(config.trl, GRPOConfig)


def test_tokens_of_text_are_options_of_trl() -> None:
    from trl.trainer.sft_config import SFTConfig

    require_known({"eos_token": "<|end|>", "pad_token": "<|end|>"}, SFTConfig)
