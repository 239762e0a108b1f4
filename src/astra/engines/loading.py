"""Models of this machine by name, ready to play."""

from __future__ import annotations

from typing import Any

from astra.chat.template import ChatTemplate
from astra.engines.transformers import TransformersEngine
from astra.errors import ConfigError


def load_engine(name: str, *, context: int | None = None) -> TransformersEngine:
    """An engine for a model folder or HuggingFace id; on a GPU, if there is one.

    Raises ConfigError for what is no model, or one that can't be run so.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gpu = torch.cuda.is_available()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(
            name, dtype=torch.bfloat16 if gpu else torch.float32, attn_implementation="sdpa"
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{name!r} is no model that can be loaded: {' '.join(str(error).split())[:300]}. Give "
            "a model folder or a HuggingFace id, or --base-url for an endpoint"
        ) from error
    placed: Any = model  # its `to` has no types
    placed = placed.to("cuda" if gpu else "cpu")
    return TransformersEngine(placed, ChatTemplate(tokenizer), name=name, context=context)
