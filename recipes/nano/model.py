"""A nano model from nothing but the rows that it will be trained on.

Qwen3's architecture, untrained, with a BPE tokenizer learned from the rows and a compact chat
template for tools: a normal Hugging Face folder, which every command takes. It shows the whole loop
at work in minutes; it is not for use.

Four things let so small a model learn. Names are split alike wherever they stand (a blank before a
capital is a token of its own). Digits stand alone. Instructions that many rows share are one token
each. And the first weights can copy (`induction`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from astra.chat.template import ChatTemplate
from astra.training.sft.rows import ConversationRow
from astra.types import Record
from recipes.nano.options import NanoOptions

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

PAD, END = "<|pad|>", "<|end|>"
SPECIAL_TOKENS = [
    *(PAD, END, "<|system|>", "<|user|>", "<|assistant|>"),
    *("<|tool|>", "<|arg|>", "<|call|>"),
]
"""The special tokens of the chat template."""
WORDS = (
    r"\p{Lu}[\p{Ll}\p{M}]*| ?[\p{Ll}\p{M}_]+|\p{N}|\p{Lo}+"
    r"|[^\s\p{L}\p{N}_]+(?: [^\s\p{L}\p{N}_]+)*|\s"
)
"""Units of text that no token crosses."""
_SHARED_INSTRUCTION = 0.05
"""Share of rows that must begin with an instruction for it to become a token."""
_INITIALIZER_RANGE = 0.06
"""Standard deviation of the first weights. The usual 0.02 suits wider layers."""


class NanoReport(Record):
    """Size of a model that was made."""

    parameters: int
    vocabulary: int
    rows: int
    tokens_per_row: float
    """Mean over a sample of the rows."""


def make_nano(rows: Sequence[ConversationRow], out: Path, options: NanoOptions) -> NanoReport:
    """Write a Hugging Face folder: model, tokenizer, chat template. Same rows, same bytes."""
    tokenizer = make_tokenizer(rows, options.vocabulary)
    model = make_model(tokenizer, options)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    chat = ChatTemplate(tokenizer)
    sample = rows[:: max(1, len(rows) // 200)]
    lengths = [len(chat.encode(chat.text(r.messages, r.tools, prompt=False))) for r in sample]
    return NanoReport(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary=len(tokenizer),
        rows=len(rows),
        tokens_per_row=sum(lengths) / len(lengths),
    )


def make_tokenizer(rows: Sequence[ConversationRow], vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer with chat template, learned from the rows as the template renders them."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)

    first_messages = (message for row in rows for message in row.messages[:1])
    counts = Counter(m.content for m in first_messages if m.role == "system")
    least = _SHARED_INSTRUCTION * len(rows)
    instructions = [text for text, n in counts.most_common(16) if text and n >= least]

    # Rendering needs the template only, so the untrained tokenizer can do it.
    chat = ChatTemplate(_with_template(tokenizer))
    border = re.compile("|".join(map(re.escape, [*instructions, *SPECIAL_TOKENS])))
    texts = (chat.text(row.messages, row.tools, prompt=False) for row in rows)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(instructions),
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((part for text in texts for part in border.split(text)), trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in instructions])
    return _with_template(tokenizer)


def _with_template(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)
    fast.chat_template = Path(__file__).with_name("chat.jinja").read_text("utf-8")
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast, options: NanoOptions) -> Qwen3ForCausalLM:
    """An untrained model for the tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from recipes.nano.induction import set_induction_heads

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=options.width,
        intermediate_size=3 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads,
        head_dim=options.width // options.heads,
        max_position_embeddings=options.max_length,
        tie_word_embeddings=True,
        initializer_range=_INITIALIZER_RANGE,
        bos_token_id=None,
        eos_token_id=cast(Any, tokenizer.eos_token_id),
        pad_token_id=cast(Any, tokenizer.pad_token_id),
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        attention_bias=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = Qwen3ForCausalLM(config)
        if options.copying:
            set_induction_heads(model)
    return model
