"""A random model that reads bytes, and conversations to have with it."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

import recipes.nano
from astra.chat.template import ChatTemplate
from astra.types import Message
from tests.support.fakes import document

torch.set_num_threads(1)
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|arg|>", "<|call|>"]
TOOLS = [document("find", {"city": {"type": "string"}}), document("add", {"a": {"type": "number"}})]


def tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bare = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=bare,
        eos_token="<|end|>",
        pad_token="<|end|>",
        additional_special_tokens=SPECIAL[1:],
    )
    made.chat_template = (Path(recipes.nano.__file__).parent / "chat.jinja").read_text()
    return made


def model(seed: int = 0, attention: str = "sdpa", kv_heads: int = 1) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=264,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=kv_heads,
        head_dim=16,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.3,
        attn_implementation=attention,
    )
    return Qwen3ForCausalLM(config).eval()


def chat() -> ChatTemplate:
    return ChatTemplate(tokenizer())


def question(text: str) -> list[Message]:
    return [Message(role="system", content="Be brief."), Message(role="user", content=text)]


def results(*texts: str) -> list[Message]:
    return [Message(role="tool", content=t, tool_call_id=f"call_{i}") for i, t in enumerate(texts)]
