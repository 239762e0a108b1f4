"""Small tokenizers with the special tokens and chat templates of families of models.

They need no download. Each splits text into bytes, so that whatever is rendered can be read back.
The templates are those of `astra.chat`, and the real ones that TRL ships.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class TokenizerFamily(NamedTuple):
    """Where a template comes from, and the tokens that it writes."""

    package: str
    template: str
    eos: str
    special: tuple[str, ...]
    plain: tuple[str, ...] = ()
    """Added tokens that are not special, as the families have them for calls."""


_CALLS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
_THINK = ("<think>", "</think>")
_CHATML = ("<|endoftext|>", "<|im_start|>")
_LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>")
_MISTRAL = (
    *("<s>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
)
_GLM = ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
_OURS, _TRL = "astra.chat/templates", "trl/chat_templates"

FAMILIES: dict[str, TokenizerFamily] = {
    "qwen3": TokenizerFamily(_OURS, "qwen3", "<|im_end|>", _CHATML, _CALLS + _THINK),
    "hermes": TokenizerFamily(_OURS, "hermes", "<|im_end|>", _CHATML, _CALLS),
    "llama3": TokenizerFamily(_OURS, "llama3", "<|eot_id|>", _LLAMA),
    "mistral": TokenizerFamily(_OURS, "mistral", "</s>", _MISTRAL),
    "glm": TokenizerFamily(_OURS, "glm", "<|endoftext|>", _GLM, _CALLS + _THINK),
    "qwen3-real": TokenizerFamily(_TRL, "qwen3", "<|im_end|>", _CHATML, _CALLS + _THINK),
    "qwen2.5-real": TokenizerFamily(_TRL, "qwen2_5", "<|im_end|>", _CHATML, _CALLS),
    "qwen3.5-real": TokenizerFamily(
        _TRL, "qwen3_5_nothink", "<|im_end|>", _CHATML, _CALLS + _THINK
    ),
    "llama3.1-real": TokenizerFamily(_TRL, "llama3_1", "<|eot_id|>", _LLAMA),
    "glm4-real": TokenizerFamily(_TRL, "glm4moe", "<|endoftext|>", _GLM, _CALLS + _THINK),
}
"""Families by name; the real templates end in `-real`."""


@cache
def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes with the family's special tokens and chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = FAMILIES[family]
    package, _, folder = made.package.partition("/")
    template = files(package).joinpath(folder, f"{made.template}.jinja").read_text("utf-8")
    alphabet = {letter: index for index, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    inner = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([made.eos, *made.special])
    inner.add_tokens([AddedToken(token, normalized=False) for token in made.plain])
    outer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=made.eos, pad_token=made.special[0], name_or_path=family
    )
    if made.special[0] in ("<|begin_of_text|>", "<s>"):
        outer.bos_token = made.special[0]
    outer.chat_template = template
    return outer
