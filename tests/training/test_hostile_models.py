"""Model folders of strangers: no code of theirs runs, and what is wrong with them is told."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from trl.trainer.sft_config import SFTConfig

import astra.engines
from astra.cli.main import FAILED, run
from astra.configs.training import TrainRLConfig, TrainSFTConfig
from astra.engines.loading import load_engine
from astra.errors import ConfigError, StoreError
from astra.training import rl, sft
from astra.training.checkpoints import MARK, to_resume
from astra.training.presets.resolve import require_known
from astra.training.rl.train import train_rl
from astra.training.rl.trainer import STATE
from astra.training.sft.train import train_sft
from tests.support.spoiled_files import huge, pipe

from . import rl_given
from .sft_made import sft_config, tiny

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SOURCE = Path(astra.engines.__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    tiny(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Rows, and a model that a test may spoil."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def code_of_its_own(model: Path, marker: Path) -> None:
    text = f"open({str(marker)!r}, 'w')\nclass Own: pass\n"
    (model / "own.py").write_text(text)
    classes = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "own.Own")
    edit(model / "config.json", auto_map=classes, model_type="own")


def tokenizer_of_its_own(model: Path, marker: Path) -> None:
    (model / "own.py").write_text(f"open({str(marker)!r}, 'w')\nclass Own: pass\n")
    own = {"AutoTokenizer": ["own.Own", None]}
    edit(model / "tokenizer_config.json", auto_map=own, tokenizer_class="Own")
    edit(model / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"})


def pickled(model: Path, marker: Path) -> None:
    (model / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Payload(marker)}, model / "pytorch_model.bin")


def plainly_pickled(model: Path, marker: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(marker)))


def cut_off(model: Path, _: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def no_weights(model: Path, _: Path) -> None:
    (model / "model.safetensors").write_bytes(b"\xff" * 100)


def wrong_types(model: Path, _: Path) -> None:
    edit(model / "config.json", hidden_size="x" * 10)


def other_shapes(model: Path, _: Path) -> None:
    edit(model / "config.json", num_attention_heads=0)


def not_json(model: Path, _: Path) -> None:
    (model / "config.json").write_text("[" * 100_000)


DAMAGE: list[Callable[[Path, Path], None]] = [
    *(code_of_its_own, tokenizer_of_its_own, pickled, plainly_pickled, cut_off, no_weights),
    *(wrong_types, other_shapes, not_json),
]


def refused(call: Callable[[], Any], marker: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        call()
    said = "".join([str(caught.value), *capfd.readouterr()])
    for advice in ("weights_only", "trust_remote_code", "[y/N]", "this is an error in astra"):
        assert advice not in said
    assert not marker.exists()


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda function: function.__name__)
def test_a_hostile_folder_is_refused_with_the_reason(
    damage: Callable[[Path, Path], None],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    marker = tmp_path / "ran"
    damage(folder / "nano", marker)
    # Were it asked on stdin, this would be the answer.
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 10))
    refused(lambda: load_engine(str(folder / "nano"), device="cpu"), marker, capfd)
    refused(lambda: train_sft(sft_config(folder)), marker, capfd)


def test_a_sound_folder_with_code_beside_it_is_loaded_without_it(
    folder: Path, tmp_path: Path
) -> None:
    """Of an architecture that is known here, the code of the folder isn't needed."""
    marker = tmp_path / "ran"
    text = f"open({str(marker)!r}, 'w')\nclass Own: pass\n"
    (folder / "nano" / "own.py").write_text(text)
    edit(folder / "nano" / "config.json", auto_map={"AutoModelForCausalLM": "own.Own"})
    assert load_engine(str(folder / "nano"), device="cpu").name == str(folder / "nano")
    assert not marker.exists()


def test_a_pickle_ends_a_command_as_the_users_fault(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled(folder / "nano", tmp_path / "ran")
    words = ["train", "sft", "--model", str(folder / "nano")]
    words += [
        "--dataset",
        str(folder / "rows.jsonl"),
        "--out",
        str(tmp_path / "out"),
        "--preset",
        "nano",
    ]
    assert run(words) == FAILED
    assert "safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt"])
def test_a_checkpoint_of_a_stranger_runs_no_code(name: str, folder: Path, tmp_path: Path) -> None:
    config = sft_config(folder, limit=8, epochs=1)
    report = train_sft(config)
    out = report.model.parent
    shutil.rmtree(report.model)
    shutil.rmtree(out / "checkpoints" / "checkpoint-2")
    checkpoint = to_resume(out / "checkpoints")
    assert checkpoint is not None
    torch.save(Payload(tmp_path / "ran"), checkpoint / name)
    with pytest.raises(ConfigError, match=re.escape(str(checkpoint))) as caught:
        train_sft(config)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def trained(made: Path) -> tuple[TrainSFTConfig, Path]:
    """Options of a run that stopped, and the checkpoint that it resumes from."""
    config = sft_config(made, "stopped", limit=8, epochs=1)
    report = train_sft(config)
    shutil.rmtree(report.model)
    checkpoint = to_resume(report.model.parent / "checkpoints")
    assert checkpoint is not None
    return config, checkpoint


@pytest.fixture
def stopped(
    trained: tuple[TrainSFTConfig, Path], tmp_path: Path
) -> Iterator[tuple[TrainSFTConfig, Path]]:
    """The same, for a test to spoil."""
    run = trained[1].parent.parent
    shutil.copytree(run, tmp_path / "run")
    yield trained
    shutil.rmtree(run)
    shutil.move(tmp_path / "run", run)


@pytest.mark.parametrize("spoil", [huge, pipe])
@pytest.mark.parametrize("name", ["whole.json", "trainer_state.json"])
def test_a_checkpoint_of_a_stranger_neither_hangs_nor_fills_the_memory(
    name: str, spoil: Callable[[Path], None], stopped: tuple[TrainSFTConfig, Path]
) -> None:
    config, checkpoint = stopped
    spoil(checkpoint / name)
    with pytest.raises((ConfigError, StoreError), match=re.escape(repr(str(checkpoint / name)))):
        train_sft(config)


@pytest.mark.parametrize("content", ["{}", "[]", '{"num_tokens": "7"}', "{"])
def test_a_mark_of_something_else_is_named(
    content: str, stopped: tuple[TrainSFTConfig, Path]
) -> None:
    config, checkpoint = stopped
    (checkpoint / MARK).write_text(content)
    with pytest.raises(StoreError, match=re.escape(str(checkpoint))):
        train_sft(config)


def test_a_checkpoint_that_is_a_link_is_refused(
    stopped: tuple[TrainSFTConfig, Path], tmp_path: Path
) -> None:
    """Removing the states of old checkpoints would remove those of the folder it leads to."""
    config, checkpoint = stopped
    checkpoint.rename(tmp_path / "another run")
    checkpoint.symlink_to(tmp_path / "another run")
    with pytest.raises(StoreError, match="is not a folder: remove it"):
        train_sft(config)


def test_a_state_of_another_run_of_rl_is_refused(model: Path, tmp_path: Path) -> None:
    trainer = rl_given.trainer(model, tmp_path)
    state = tmp_path / STATE
    for spoil in (huge, pipe):
        spoil(state)
        with pytest.raises(StoreError, match=re.escape(repr(str(state)))):
            trainer._load_optimizer_and_scheduler(str(tmp_path))
        state.unlink()
    prompts = trainer.prompts.state_dict()
    spoiled = [
        *("[]", "{", "{}", '{"waiting": 1}', '{"waiting": [{}]}'),
        json.dumps({"waiting": [], "prompts": {"queue": [1]}, "algorithm": {}}),
        json.dumps({"waiting": [{"step": 1, "episodes": [{}]}], "prompts": prompts}),
    ]
    for content in spoiled:
        state.write_text(content)
        with pytest.raises(StoreError, match=re.escape(repr(str(state)))):
            trainer._load_optimizer_and_scheduler(str(tmp_path))
    state.write_text(json.dumps({"waiting": [], "prompts": prompts, "algorithm": {}}))
    trainer._load_optimizer_and_scheduler(str(tmp_path))
    trainer.close()


def test_a_training_has_the_lock_before_it_loads_anything(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loading(Exception):
        pass

    def load(*_: Any, **__: Any) -> None:
        with pytest.raises(StoreError, match="another process is writing"):
            train_sft(sft_config(folder))
        raise Loading

    for module in (sft.train, rl.train):
        monkeypatch.setattr(module, "load_tokenizer", load)
    arenas = rl_given.world(tmp_path / "arenas")
    out = sft_config(folder).out
    options = TrainRLConfig(arenas=arenas, model=folder / "nano", out=out, preset="nano")
    for train in (lambda: train_sft(sft_config(folder)), lambda: train_rl(options)):
        with pytest.raises(Loading):
            train()
        shutil.rmtree(out)


@pytest.mark.parametrize("spoil", [huge, pipe])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model/shard.json"])
def test_a_model_folder_neither_hangs_nor_fills_the_memory(
    name: str, spoil: Callable[[Path], None], folder: Path
) -> None:
    path = folder / "nano" / name
    path.parent.mkdir(exist_ok=True)
    spoil(path)
    with pytest.raises(ConfigError, match=re.escape(repr(str(path)))):
        load_engine(str(folder / "nano"), device="cpu")


def test_a_model_folder_of_links_is_loaded(folder: Path, tmp_path: Path) -> None:
    """As the cache of Hugging Face keeps models. Links to devices are refused."""
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in (folder / "nano").iterdir():
        (linked / path.name).symlink_to(path)
    assert load_engine(str(linked), device="cpu").name == str(linked)
    (linked / "added_tokens.json").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="a pipe, a socket or a device"):
        load_engine(str(linked), device="cpu")


@pytest.mark.parametrize(
    "trl",
    [
        {"trust_remote_code": True},
        {"model_init_kwargs": {"trust_remote_code": True}},
        {"model_init_kwargs": {"weights_only": False}},
    ],
)
def test_options_of_trl_open_nothing(trl: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no code of a model folder is run"):
        require_known(trl, SFTConfig)
    require_known({"model_init_kwargs": {"dtype": "float32"}}, SFTConfig)


def test_models_are_loaded_in_one_place() -> None:
    calls = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"\bAuto\w+\.from_|torch\.load\(", path.read_text("utf-8"))
    }
    assert calls == {"astra/engines/loading.py"}
    text = (SOURCE / "astra/engines/loading.py").read_text("utf-8")
    loads = re.findall(r"\.from_(?:pretrained|config)\(([^()]*)\)", text)
    assert len(loads) == 4
    assert all("trust_remote_code=False" in call for call in loads)
