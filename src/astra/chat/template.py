"""Conversations as token ids, and back: what rollouts, SFT and evaluation share.

Training must see the very tokens that were sampled. So a conversation is never encoded again as a
whole: its pieces (a prompt, what the policy wrote, what followed) are encoded apart and put
together, which is exact as long as the template is *prefix-preserving*: what it renders of the
first messages does not depend on those that come later. `ChatTemplate` makes sure of that, by a
template known to be so where the tokenizer's own is not.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jinja2.exceptions import TemplateError

from astra.chat.families import find_family
from astra.core.messages import conversation_to_openai
from astra.errors import ConfigError
from astra.types import Message, ToolCallRequest, ToolSchema

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEMPLATE_ARGS = "template_args"
"""Where a tokenizer's configuration names the arguments of its chat template."""
_SHORT = re.compile("[A-Za-z0-9]{9}")
_SAID = "wxyz"
_ASKED = Message(role="user", content=_SAID)
_SHOWN = ToolSchema(name=_SAID, description=_SAID, parameters={"type": "object", "properties": {}})


class RenderedPiece(NamedTuple):
    """A stretch of a rendered conversation."""

    text: str
    policy: bool
    """Whether the model writes it, end-of-turn token included."""


class ChatTemplate:
    """One tokenizer's way to write conversations with tools.

    Raises ConfigError for a tokenizer without a chat template, or of one that does not preserve
    prefixes and for which no better one is known; and for template arguments that no template can
    have. Rendering raises it where tools or calls would be left out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        own = tokenizer.chat_template
        if not isinstance(own, str) or not own:
            raise ConfigError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no chat template: use the "
                "instruct version of the model, or add a chat_template.jinja to its folder"
            )
        self.tokenizer = tokenizer
        self.template = own
        self._arguments = _arguments(tokenizer, own)
        self._family = find_family(own)
        # Known only when all can be rendered.
        self._shows_tools = self._writes_calls = self._writes_several = True
        self._writes_calls = self._says_more([_ASKED, _dummy_calls()])
        self._writes_several = self._says_more([_ASKED, _dummy_calls(2)], times=2)
        self._shows_tools = self._says_more([_ASKED], [_SHOWN])
        self._choose_template(own)
        shown = self.text([_ASKED, Message(role="assistant", content=_SAID)], (), prompt=False)
        if _SAID not in shown:
            raise ConfigError(
                f"the chat template of {tokenizer.name_or_path!r} can't render messages of plain "
                "text: use a model for text"
            )
        ids = self.encode(shown[shown.rindex(_SAID) + len(_SAID) :])
        special = self._special_ids()
        # Empty for templates in which only the next turn's opening ends a turn.
        end = next((self._token(i) for i in ids if i in special), "")
        self._ends = (end,) if end else ()
        if end and self._writes_calls:
            called = self.text([_ASKED, _dummy_calls()], (), prompt=False)
            rest = called[called.rindex(_SAID) :]
            if end not in rest:
                # Gemma 4 waits for results in the same turn, gpt-oss has a token for calls.
                last = [self._token(i) for i in self.encode(rest) if i in special][-1:]
                self._ends += tuple(last)
        stops = set(self.encode("".join(self._ends)))
        if tokenizer.eos_token is not None:
            stops.update(self.encode(cast(str, tokenizer.eos_token)))
        if not self._ends:
            for message in (*_results(1), _ASKED):
                stops.update(self.following(_dummy_calls(), [message], -1)[:1])
        self.stop_ids = tuple(sorted(stops))
        """Tokens after which the model has finished a message, ascending."""

    # --- rendering -------------------------------------------------------------------------

    def text(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], *, prompt: bool
    ) -> str:
        """A conversation as the template renders it; `prompt`: up to where the model goes on."""
        return self._texts([messages], tools, prompt=prompt)[0]

    def _texts(
        self,
        conversations: Sequence[Sequence[Message]],
        tools: Sequence[ToolSchema],
        *,
        prompt: bool,
    ) -> list[str]:
        """Several with the same tools, which are prepared once."""
        name = repr(self.tokenizer.name_or_path)
        if tools and not self._shows_tools:
            raise ConfigError(
                f"the chat template of {name} shows the model no tools: use a model whose template "
                "has them, or put one into the chat_template.jinja of its folder"
            )
        if not self._writes_calls and any(m.tool_calls for ms in conversations for m in ms):
            raise ConfigError(
                f"the chat template of {name} leaves out the calls that a model has made: use a "
                "later one of the family, in the chat_template.jinja of its folder"
            )
        if not self._writes_several and any(
            len(m.tool_calls) > 1 for ms in conversations for m in ms
        ):
            raise ConfigError(f"the chat template of {name} writes one call a message")
        try:
            rendered = self.tokenizer.apply_chat_template(
                [conversation_to_openai(messages, _short_id) for messages in conversations],
                tools=cast(Any, [document.openai() for document in tools] or None),
                chat_template=self.template,
                add_generation_prompt=prompt,
                tokenize=False,
                **self._arguments,
            )
        # A template is a program of a stranger's: it may also add a text to a mapping.
        except (TemplateError, TypeError, ValueError, LookupError) as error:
            raise ConfigError(
                f"the chat template of {name} can't render this conversation: {error}"
            ) from error
        return cast("list[str]", rendered)

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text; special tokens in it count as such."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def render(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> list[int]:
        """What the model is given to write the next message."""
        return self.encode(self.text(messages, tools, prompt=True))

    def following(self, said: Message, results: Sequence[Message], last: int) -> list[int]:
        """What stands between a sampled message and the next one: tool results, and the prompt.

        `last`: the last sampled token of `said`. It is not repeated where templates have no
        end-of-turn token and the next turn's opening ends this one.
        """
        before = [_ASKED, _outline(said.tool_calls)]
        try:
            shown = self.text(before, (), prompt=False)
        except ConfigError:  # a family of one call a message, and a model that made more
            before = [_ASKED, _outline(said.tool_calls[:1])]
            shown = self.text(before, (), prompt=False)
        whole = self.text([*before, *results], (), prompt=True)
        ids = self.encode(whole[self._written_until(shown) :])
        return ids[1:] if ids[:1] == [last] else ids

    def pieces(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema]
    ) -> list[RenderedPiece]:
        """The whole conversation in alternating pieces, those that the model writes marked.

        Raises ConfigError when the template renders earlier messages otherwise for later ones.
        """
        said = [i for i, message in enumerate(messages) if message.role == "assistant"]
        ends = [messages[: i + 1] for i in said if i + 1 < len(messages)]
        *shown, whole = self._texts([*ends, messages], tools, prompt=False)
        prompts = self._texts([messages[:i] for i in said], tools, prompt=True) if said else []
        if not all(whole.startswith(text) for text in (*shown, *prompts)):
            raise _unfit(self.tokenizer)
        found: list[RenderedPiece] = []
        at = 0
        for before, after in zip_longest(prompts, shown, fillvalue=whole):
            start = len(before)
            found.append(RenderedPiece(whole[at:start], policy=False))
            at = self._written_until(after)
            if not self._ends:
                # The token that opens the next turn is the model's stop token.
                ids = self.encode(whole[at:])
                if ids and ids[0] in self._special_ids():
                    at += len(self._token(ids[0]))
            ended = whole[start:at]
            if not self._ends and after is whole:
                ended += str(self.tokenizer.eos_token)
            found.append(RenderedPiece(ended, policy=True))
        found.append(RenderedPiece(whole[at:], policy=False))
        return [piece for piece in found if piece.text]

    def _choose_template(self, own: str) -> None:
        """The tokenizer's own template if it preserves prefixes, else a twin of it that does.

        One that does so while the user speaks once is taken, too, if there is none better: longer
        conversations are refused when they come. Raises ConfigError if there is none.
        """
        if self._preserves_prefixes(turns=2):
            return
        # A known template that does not (that of Qwen3, say) has a prefix-preserving twin.
        from trl.chat_template_utils import get_training_chat_template

        twin = own
        with suppress(ValueError):  # none is known
            twin = get_training_chat_template(self.tokenizer) or own
        for template, turns in ((twin, 2), (own, 1), (twin, 1)):
            self.template = template
            if self._preserves_prefixes(turns):
                return
        raise _unfit(self.tokenizer)

    def _says_more(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema] = (), times: int = 1
    ) -> bool:
        """Whether a conversation is rendered with more in it than what the user says."""
        try:
            return self.text(messages, tools, prompt=False).count(_SAID) > times
        except ConfigError:
            return False

    def _preserves_prefixes(self, turns: int) -> bool:
        """Whether rounds of calls are rendered alike alone and before what follows.

        `turns`: how often the user speaks.
        """
        rounds = [_dummy_calls(), *_results(2), _dummy_calls(), *_results(1)]
        if not self._writes_calls:
            rounds = []
        talk = [_ASKED, *rounds, Message(role="assistant", content=_SAID)] * turns
        whole = self.text(talk, (), prompt=False)
        for index, message in enumerate(talk):
            if message.role == "assistant":
                before = self.text(talk[:index], (), prompt=True)
                after = self.text(talk[: index + 1], (), prompt=False)
                if not (whole.startswith(before) and whole.startswith(after)):
                    return False
        return True

    # --- ends of turns ---------------------------------------------------------------------

    def _written_until(self, shown: str) -> int:
        """Length of the text that ends where the model stops writing."""
        if not self._ends:
            return len(shown.rstrip("\n"))
        return max(shown.rindex(end) + len(end) for end in self._ends if end in shown)

    def _special_ids(self) -> frozenset[int]:
        return frozenset(
            index for index, token in self.tokenizer.added_tokens_decoder.items() if token.special
        )

    def _token(self, index: int) -> str:
        return cast(str, self.tokenizer.convert_ids_to_tokens(index))

    # --- parsing ---------------------------------------------------------------------------

    def parse(self, ids: Sequence[int], tools: Sequence[ToolSchema] = ()) -> Message:
        """What the model wrote, as a message. Never raises for what it wrote: a call that can't
        be read keeps its raw text as arguments. Raises ConfigError for an unknown dialect."""
        ids = list(ids)
        while ids and ids[-1] in self.stop_ids:
            ids.pop()
        text = cast(str, self.tokenizer.decode(ids, skip_special_tokens=False))
        return self.parse_text(text, tools)

    def parse_text(self, text: str, tools: Sequence[ToolSchema] = ()) -> Message:
        """Like `parse`, of text without the end-of-turn token."""
        if self._family is None:
            raise ConfigError(
                f"how {self.tokenizer.name_or_path!r} writes tool calls is not known here: its "
                "chat template has none of the known marks (see docs/sft.md)"
            )
        return self._family.read(text, tools)


def _arguments(tokenizer: PreTrainedTokenizerBase, template: str) -> dict[str, Any]:
    """What the template is given beside the conversation. ConfigError for what it can't take."""
    given: object = tokenizer.init_kwargs.get(TEMPLATE_ARGS) or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{TEMPLATE_ARGS} of {tokenizer.name_or_path!r} are no mapping")
    ours = {"messages", *inspect.signature(tokenizer.apply_chat_template).parameters}
    for name, value in cast("dict[object, object]", given).items():
        if not isinstance(name, str) or not isinstance(value, bool | int | float | str):
            raise ConfigError(f"{TEMPLATE_ARGS}: {name!r} is no text, number, true or false")
        # A misspelt one would change nothing.
        if name in ours or not re.search(rf"\b{re.escape(name)}\b", template):
            raise ConfigError(
                f"the chat template of {tokenizer.name_or_path!r} has no argument {name!r}"
            )
    return cast("dict[str, Any]", given)


def _unfit(tokenizer: PreTrainedTokenizerBase) -> ConfigError:
    return ConfigError(
        f"the chat template of {tokenizer.name_or_path!r} renders earlier messages otherwise when "
        "later ones follow, so that no exact mask can be had: put a prefix-preserving "
        "chat_template.jinja into the model's folder"
    )


def _short_id(given: str) -> str:
    """The id itself where it has the form that Mistral's templates ask for."""
    return given if _SHORT.fullmatch(given) else hashlib.sha256(given.encode()).hexdigest()[:9]


def _outline(calls: Sequence[ToolCallRequest]) -> Message:
    """A message that makes the same calls, whatever their arguments: results go with names."""
    bare = tuple(call.model_copy(update={"arguments": "{}"}) for call in calls)
    return Message(role="assistant", tool_calls=bare)


def _dummy_calls(count: int = 1) -> Message:
    call = ToolCallRequest(id="call_0", tool=_SAID, arguments="{}")
    return _outline([call] * count)


def _results(count: int) -> list[Message]:
    return [Message(role="tool", content=_SAID, tool_call_id="call_0") for _ in range(count)]
