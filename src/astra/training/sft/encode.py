"""Rows as token ids with labels: loss on what the model writes, and nowhere else.

The labels need no `{% generation %}` marks, which most chat templates lack: the conversation is
rendered step by step, and its pieces are encoded one by one, as in a rollout.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from astra.chat.template import ChatTemplate
from astra.configs.spelling import option_name
from astra.errors import ConfigError
from astra.training.sft.rows import ConversationRow

IGNORED = -100
"""Label of a token without loss."""


class EncodedRow(NamedTuple):
    """A row as ids and labels, of one length."""

    input_ids: list[int]
    labels: list[int]
    unlearned: frozenset[int] = frozenset()
    """Places of tokens that no training should have loss on."""


class EncodedRows(NamedTuple):
    """The encoded rows, and how many were cut or dropped."""

    rows: list[EncodedRow]
    cut: int
    """Rows that were longer than `max_length` and lost their end."""
    dropped: int
    """Rows that were left without a token that the model writes."""

    @property
    def tokens(self) -> int:
        return sum(len(row.input_ids) for row in self.rows)

    @property
    def trained(self) -> int:
        """Tokens with loss."""
        return sum(label != IGNORED for row in self.rows for label in row.labels)


def encode(chat: ChatTemplate, row: ConversationRow) -> EncodedRow:
    """One row. The labels are the ids where the model writes, end of turn included.

    Messages of weight 0 have none.
    """
    ids: list[int] = []
    labels: list[int] = []
    unlearned: list[int] = []
    turn = -1
    for piece in chat.pieces(row.messages, row.tools):
        new = chat.encode(piece.text)
        turn += piece.policy
        learned = piece.policy and turn not in row.unlearned
        if piece.policy and not learned:
            unlearned += range(len(ids), len(ids) + len(new))
        ids += new
        labels += new if learned else [IGNORED] * len(new)
    return EncodedRow(ids, labels, frozenset(unlearned))


def encode_rows(
    chat: ChatTemplate, rows: Iterable[ConversationRow], max_length: int | None
) -> EncodedRows:
    """All rows, cut to `max_length` tokens. Raises ConfigError if all are dropped."""
    kept: list[EncodedRow] = []
    cut = dropped = 0
    for row in rows:
        whole = encode(chat, row)
        if max_length is not None and len(whole.input_ids) > max_length:
            whole = whole._replace(
                input_ids=whole.input_ids[:max_length], labels=whole.labels[:max_length]
            )
            cut += 1
        if any(label != IGNORED for label in whole.labels):
            kept.append(whole)
        else:
            dropped += 1
    if not kept:
        raise ConfigError(
            f"all {dropped} rows are cut off at {max_length!r} tokens before the model's first "
            f"words: raise {option_name('max_length')}"
        )
    return EncodedRows(kept, cut, dropped)
