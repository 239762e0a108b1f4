"""LoRA adapters, and the folder of the final model."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astra.chat.template import ChatTemplate
from astra.core.files import replace_folder

FINAL = "final"
"""Folder of the trained model in a run folder."""
CHECKPOINTS = "checkpoints"


def lora_config(rank: int) -> Any:
    """LoRA on all linear layers. None for rank 0."""
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


@contextmanager
def adding_adapters() -> Generator[None]:
    """Build a trainer with adapters inside this context: PEFT's use of an old name is silenced."""
    with warnings.catch_warnings():
        # PEFT reads the model's `is_gradient_checkpointing`, which transformers 5.24 renamed. The
        # newest PEFT (0.21) still does, and nothing depends on it: the old name works until v6.
        old_name = "`is_gradient_checkpointing` is deprecated"
        warnings.filterwarnings("ignore", old_name, FutureWarning)
        yield


def save_final(trainer: Any, chat: ChatTemplate, out: Path) -> None:
    """Write the model as a normal folder with its tokenizer, adapters merged."""
    # Hidden until it is complete: `final` marks a finished run.
    new = out / f".{FINAL}.new"
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model(str(new))  # gathers the shards: every process takes part
    elif trainer.accelerator.is_main_process:
        from peft import PeftModel

        model: Any = trainer.accelerator.unwrap_model(trainer.model)
        if isinstance(model, PeftModel):
            merged: Any = model
            merged.save_pretrained(str(out / "adapter"))
            model = merged.merge_and_unload()
        model.save_pretrained(str(new))
    if trainer.accelerator.is_main_process:
        chat.tokenizer.save_pretrained(str(new))
        replace_folder(new, out / FINAL)
    trainer.accelerator.wait_for_everyone()
