"""Loads local models by name."""

from __future__ import annotations

from typing import Any

from astra.chat.template import ChatTemplate
from astra.configs.spelling import option_name
from astra.engines.transformers import TransformersEngine
from astra.errors import ConfigError


def load_engine(
    name: str,
    *,
    max_length: int | None = None,
    device: str | None = None,
    deterministic: bool = True,
) -> TransformersEngine:
    """An engine for a model folder or Hugging Face id.

    `device` None: a GPU if there is one. `deterministic`: see `astra.engines.engine`. Raises
    ConfigError for a model that cannot be loaded or run.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    gpu = not device.startswith("cpu")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(
            name, dtype=torch.bfloat16 if gpu else torch.float32, attn_implementation="sdpa"
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot load the model {name!r}: {' '.join(str(error).split())[:300]}. Give a model "
            f"folder or a Hugging Face id, or {option_name('base_url')} for an endpoint"
        ) from error
    untyped: Any = model  # its `to` has no types
    untyped = untyped.to(device)
    return TransformersEngine(
        untyped,
        ChatTemplate(tokenizer),
        name=name,
        max_length=max_length,
        deterministic=deterministic,
    )
