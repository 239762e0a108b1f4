"""LoRA adapters, and the folder of the final model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from astra.chat.template import ChatTemplate

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


def save_final(trainer: Any, chat: ChatTemplate, out: Path) -> None:
    """Write the model as a normal folder with its tokenizer, adapters merged."""
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
        shutil.rmtree(out / FINAL, ignore_errors=True)
        # `final` marks a finished run, so it appears at once and whole.
        os.replace(new, out / FINAL)
    trainer.accelerator.wait_for_everyone()
