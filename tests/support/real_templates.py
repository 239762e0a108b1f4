"""Chat templates of real models, as TRL ships them, and tokenizers that know their marks."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_FOLDER = Path(str(files("trl").joinpath("chat_templates")))
_MARKS = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<｜[^｜]{1,40}｜>|\[/?[A-Z_]{3,25}\]|<\|[a-z_]+>|<[a-z_]+\|>"
)
_PLAIN = ("<tool_call>", "</tool_call>", "<think>", "</think>")
"""Added, and not special, as the models have them."""
_SPECIAL = ("<bos>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>", "<sop>")
_ENDS = (
    *(
        "<|im_end|>",
        "<|eot_id|>",
        "<｜end▁of▁sentence｜>",
        "<|END_OF_TURN_TOKEN|>",
        "<end_of_turn>",
    ),
    *("<turn|>", "<|return|>", "<|end|>", "</s>", "<|endoftext|>"),
)
_BEGINNINGS = ("<|begin_of_text|>", "<bos>", "<s>", "<｜begin▁of▁sentence｜>", "<|startoftext|>")

NAMES = sorted(path.stem for path in _FOLDER.glob("*.jinja") if not path.stem.endswith("_training"))


@cache
def real_tokenizer(name: str, **template_args: bool | str) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes that knows the marks of a template of TRL's, with its arguments."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    template = (_FOLDER / f"{name}.jinja").read_text("utf-8")
    end = next((each for each in _ENDS if each in template), "<|endoftext|>")
    special = [*_MARKS.findall(template), *(mark for mark in _SPECIAL if mark in template)]
    alphabet = {letter: index for index, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    inner = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(list(dict.fromkeys([end, *special])))
    inner.add_tokens([AddedToken(token, normalized=False) for token in _PLAIN])
    outer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=end,
        pad_token=end,
        name_or_path=name,
        template_args=template_args,
    )
    outer.bos_token = next((each for each in _BEGINNINGS if each in template), end)
    outer.chat_template = template
    return outer
