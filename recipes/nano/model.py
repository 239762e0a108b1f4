"""A nano model from nothing but the rows that it will be trained on.

Qwen3's architecture, untrained, a BPE tokenizer learned from the rows, and a compact chat
template with tools: a normal HuggingFace folder, so that every command takes it. It is for seeing
the whole loop work in minutes, not for use.

What makes so small a model learn: names are split alike wherever they stand (a blank before a
capital is a token of its own), digits stand alone, instructions that all rows share are one token
each, and copying need not be learned from nothing (`induction`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from astra.chat.template import ChatTemplate
from astra.errors import ConfigError
from astra.training.sft.rows import ConversationRow
from astra.types import Record

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

PAD, END = "<|pad|>", "<|end|>"
MARKS = (
    *(PAD, END, "<|system|>", "<|user|>", "<|assistant|>"),
    *("<|tool|>", "<|arg|>", "<|call|>"),
)
"""The special tokens of the template."""
WORDS = (
    r"\p{Lu}[\p{Ll}\p{M}]*| ?[\p{Ll}\p{M}_]+|\p{N}|\p{Lo}+"
    r"|[^\s\p{L}\p{N}_]+(?: [^\s\p{L}\p{N}_]+)*|\s"
)
"""What a token never reaches beyond."""
_SHARED = 0.05
"""Share of the rows that must begin with an instruction for it to become a token."""

_SPREAD = 0.06
"""Standard deviation of the first weights; 0.02 suits wider layers."""


@dataclass(frozen=True, slots=True)
class NanoOptions:
    """Size of the model. The defaults make about a million parameters."""

    vocabulary: int = 768
    """Tokens, special ones and whole instructions included."""
    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 4096
    """Longest sequence in tokens."""
    seed: int = 0
    copying: bool = True
    """Whether copying is laid out in the first weights; False: all weights are random."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ConfigError(
                f"width {self.width!r} must be a multiple of twice the heads ({self.heads!r})"
            )
        if self.vocabulary < 300:
            raise ConfigError(f"vocabulary {self.vocabulary!r}: at least 300, for bytes and marks")


class NanoReport(Record):
    """What was made."""

    parameters: int
    vocabulary: int
    rows: int
    tokens_per_row: float
    """Mean over the rows."""


def make_nano(rows: Sequence[ConversationRow], out: Path, options: NanoOptions) -> NanoReport:
    """Write a HuggingFace folder with model, tokenizer and chat template. Same rows, same bytes."""
    tokenizer = make_tokenizer(rows, options.vocabulary)
    model = make_model(tokenizer, options)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    chat = ChatTemplate(tokenizer)
    some = rows[:: max(1, len(rows) // 200)]
    lengths = [len(chat.encode(chat.text(r.messages, r.tools, prompt=False))) for r in some]
    return NanoReport(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary=len(tokenizer),
        rows=len(rows),
        tokens_per_row=sum(lengths) / len(lengths),
    )


# --- tokenizer -------------------------------------------------------------------------------


def make_tokenizer(rows: Sequence[ConversationRow], vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer with chat template, learned from the rows as the template renders them."""
    from tokenizers import AddedToken, trainers
    from tokenizers.pre_tokenizers import ByteLevel

    bare = _empty()
    chat = ChatTemplate(_wrapped(bare))
    whole = _instructions(rows)
    border = re.compile("|".join(map(re.escape, [*whole, *MARKS])))
    texts = (chat.text(row.messages, row.tools, prompt=False) for row in rows)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(whole),
        special_tokens=list(MARKS),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator((part for text in texts for part in border.split(text)), trainer)
    bare.add_tokens([AddedToken(text, normalized=False) for text in whole])
    return _wrapped(bare)


def _empty() -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(MARKS))
    return made


def _wrapped(inner: Tokenizer) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    outer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=PAD)
    template = Path(__file__).with_name("chat.jinja").read_text("utf-8")
    outer.chat_template = template
    return outer


def _instructions(rows: Sequence[ConversationRow]) -> list[str]:
    """System messages that many rows share, the most frequent first."""
    counts = Counter(m.content for row in rows for m in row.messages[:1] if m.role == "system")
    return [text for text, n in counts.most_common(16) if text and n >= _SHARED * len(rows)]


# --- model -----------------------------------------------------------------------------------


def make_model(tokenizer: PreTrainedTokenizerFast, options: NanoOptions) -> Qwen3ForCausalLM:
    """An untrained model for the tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from recipes.nano.induction import lay_out_copying

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=options.width,
        intermediate_size=3 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads,
        head_dim=options.width // options.heads,
        max_position_embeddings=options.context,
        tie_word_embeddings=True,
        initializer_range=_SPREAD,
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
            lay_out_copying(model)
    return model
