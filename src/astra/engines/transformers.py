"""Token-exact generation with transformers models: keys and values are kept across turns.

Episodes share forward passes. Only new tokens are fed, and a prompt that several episodes have in
common is computed once. At temperature 0 the output is, token for token, that of
`model.generate` for each conversation alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from astra.chat.template import ChatTemplate
from astra.core.loop import on_caller
from astra.engines.cache import SlotCache
from astra.engines.engine import BatchingEngine, finish
from astra.engines.episode import EngineEpisode
from astra.engines.sampling import draw
from astra.errors import ConfigError


class TransformersEngine(BatchingEngine):
    """Runs a causal language model of transformers with full attention in every layer.

    `max_length`: maximum tokens of a conversation. None: the model's. `prefill_tokens`: maximum new
    tokens of one forward pass, padding included. `padding`: maximum padding among them, so that one
    long tool result does not lengthen all rows. Raises ConfigError for models with sliding-window
    or linear attention, whose caches cannot be kept this way.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: ChatTemplate,
        *,
        name: str = "policy",
        max_length: int | None = None,
        deterministic: bool = True,
        top_k: int | None = None,
        prefill_tokens: int = 16_384,
        padding: int = 256,
    ) -> None:
        _require_full_attention(model)
        positions = int(model.config.get_text_config().max_position_embeddings)
        max_length = min(max_length or positions, positions)
        super().__init__(name, chat, max_length, deterministic=deterministic)
        self.model = model
        self._top_k = top_k
        self._prefill_tokens = prefill_tokens
        self._padding = padding
        self._stops = frozenset(chat.stop_ids)
        self._cache = SlotCache()
        self._slots: list[EngineEpisode] = []
        """Episodes by slot. Some may be closed."""
        self._going = asyncio.Event()
        self._going.set()
        # A PEFT adapter around the model hides its signature.
        inner: Any = model
        if hasattr(inner, "get_base_model"):
            inner = inner.get_base_model()
        parameters = inspect.signature(inner.forward).parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"

    async def _serve(self, episodes: list[EngineEpisode]) -> None:
        with _inference_mode(self.model):
            # Forward passes run on the calling thread: torch keeps the device per thread.
            while True:
                if not self._going.is_set():
                    await self._going.wait()
                    # Nothing of theirs is cached any more: they join anew.
                    self._waiting[:0] = episodes
                    episodes.clear()
                # A caller may have been cancelled meanwhile.
                episodes[:] = [episode for episode in episodes if episode.request is not None]
                if self._waiting and (not self._deterministic or not episodes):
                    if not self._batch_complete():
                        return
                    joining = [e for e in self._take_waiting() if e.request is not None]
                    episodes.extend(joining)
                    if joining:
                        await on_caller(partial(self._admit, joining))
                elif episodes:
                    await on_caller(partial(self._step, episodes))
                else:
                    return
                self._retire(episodes)
                # Let finished episodes call their tools while the others continue.
                await asyncio.sleep(0)

    def pause(self) -> None:
        self._going.clear()

    def resume(self) -> None:
        # Keys and values of other weights would make a policy of its own, neither old nor new.
        for episode in self._open:
            episode.cached = 0
        self._going.set()

    def leave(self, episode: EngineEpisode) -> None:
        super().leave(episode)
        if not self._open:
            self._slots.clear()

    def free_cache(self) -> None:
        """Free the cache's memory, e.g. before a backward pass on a GPU."""
        if not self._open:
            self._cache.drop()

    # --- slots -----------------------------------------------------------------------------

    @torch.inference_mode()
    def _admit(self, joining: Sequence[EngineEpisode]) -> None:
        """Feed the new tokens of each episode and sample one token for it."""
        self._compact()
        for episode in joining:
            if episode.slot < 0:
                episode.slot = len(self._slots)
                self._slots.append(episode)
        self._cache.reserve(len(self._slots), max(len(e.ids) for e in joining) + 1)
        cached = [episode for episode in joining if episode.cached]
        self._prefill([episode for episode in joining if not episode.cached])
        for chunk in self._chunks(cached):
            self._sample(chunk, self._forward(chunk, fresh=False))

    def _prefill(self, episodes: Sequence[EngineEpisode]) -> None:
        """Compute each distinct prompt once and copy its cache to all episodes that share it."""
        groups: dict[tuple[int, ...], list[EngineEpisode]] = {}
        for episode in episodes:
            groups.setdefault(tuple(episode.ids), []).append(episode)
        by_leader = {group[0].slot: group for group in groups.values()}
        for chunk in self._chunks([group[0] for group in groups.values()]):
            for leader, logits_V in zip(chunk, self._forward(chunk, fresh=True), strict=True):
                group = by_leader[leader.slot]
                for follower in group[1:]:
                    self._cache.copy(leader.slot, follower.slot, leader.cached)
                    follower.cached = leader.cached
                self._sample(group, logits_V.expand(len(group), -1))

    def _compact(self) -> None:
        """Fill the slots of closed episodes with the last open ones."""
        for slot in range(len(self._slots) - 1, -1, -1):
            if self._slots[slot].open:
                continue
            last = self._slots.pop()
            if slot < len(self._slots):
                self._cache.copy(last.slot, slot, last.cached)
                last.slot, self._slots[slot] = slot, last

    def _arrange(self, active: list[EngineEpisode]) -> None:
        """Move the active episodes to the first slots, so that a step reads the cache without a
        copy."""
        misplaced = [e for e in active if e.slot >= len(active)]
        if misplaced:
            occupied = {e.slot for e in active}
            free = (slot for slot in range(len(active)) if slot not in occupied)
            for episode, slot in zip(misplaced, free, strict=True):
                other = self._slots[slot]
                self._cache.swap(slot, episode.slot, max(other.cached, episode.cached))
                self._slots[slot], self._slots[episode.slot] = episode, other
                other.slot, episode.slot = episode.slot, slot
        active.sort(key=lambda episode: episode.slot)

    def _chunks(self, episodes: Sequence[EngineEpisode]) -> Iterator[list[EngineEpisode]]:
        """Batches of episodes with similar numbers of new tokens, so that little is padding."""
        chunk: list[EngineEpisode] = []
        new = 0
        for episode in sorted(episodes, key=_uncached):
            width = _uncached(episode)
            padded = width * (len(chunk) + 1)
            if chunk and (padded > self._prefill_tokens or padded - new - width > self._padding):
                yield chunk
                chunk, new = [], 0
            chunk.append(episode)
            new += width
        if chunk:
            yield chunk

    # --- passes ----------------------------------------------------------------------------

    @torch.inference_mode()
    def _step(self, active: list[EngineEpisode]) -> None:
        """Sample one more token for every active episode."""
        self._arrange(active)
        self._cache.reserve(len(self._slots), max(len(episode.ids) for episode in active) + 1)
        self._sample(active, self._forward(active, fresh=False))

    def _forward(self, episodes: Sequence[EngineEpisode], *, fresh: bool) -> Tensor:
        """Feed the tokens that are not cached; returns logits_BV after each episode's last
        token."""
        device = self.model.device
        new = [episode.ids[episode.cached :] for episode in episodes]
        width = max(map(len, new))
        # Padding on the left: the last column is then the last token of every row.
        ids_BQ = torch.tensor([[0] * (width - len(ids)) + ids for ids in new], device=device)
        ends_B1 = torch.tensor([[len(e.ids)] for e in episodes], device=device)
        starts_B1 = torch.tensor([[e.cached] for e in episodes], device=device)
        positions_BQ = ends_B1 - width + torch.arange(width, device=device)
        positions_BQ = torch.where(positions_BQ < starts_B1, -1, positions_BQ)
        span = max(len(episode.ids) for episode in episodes)
        slots = [episode.slot for episode in episodes]
        self._cache.aim(slots, positions_BQ, span, fresh=fresh)
        if fresh:
            visible = _fresh_mask(positions_BQ)
        else:
            # B1QK: a token attends to its row up to itself. Padding attends to the first key, since
            # a row without any key gives NaN.
            keys_K = torch.arange(span, device=device)
            visible = (keys_K <= positions_BQ.clamp(min=0)[..., None])[:, None]
        if _attention(self.model) != "sdpa":
            # Eager attention adds its mask to the scores.
            dtype = self.model.dtype
            lowest = torch.finfo(dtype).min
            visible = torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, lowest)
        output = self.model(
            input_ids=ids_BQ,
            attention_mask=visible,
            position_ids=positions_BQ.clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: self._cache},
        )
        for episode in episodes:
            episode.cached = len(episode.ids)
        self.timings.prompt_tokens += sum(map(len, new)) - len(new)
        return output.logits[:, -1]

    def _sample(self, episodes: Sequence[EngineEpisode], logits_BV: Tensor) -> None:
        device = logits_BV.device
        sampling = [cast(Any, episode.request).sampling for episode in episodes]
        temperatures = [1.0 if s.temperature is None else s.temperature for s in sampling]
        sampled = draw(
            logits_BV,
            torch.tensor([e.uniform() for e in episodes], dtype=torch.float64, device=device),
            torch.tensor(temperatures, device=device),
            top_p_B=torch.tensor([1.0 if s.top_p is None else s.top_p for s in sampling]),
            top_k=self._top_k,
        )
        self.timings.sampled_tokens += len(episodes)
        for episode, token, logprob, entropy in zip(
            episodes,
            sampled.tokens_B.tolist(),
            sampled.logprobs_B.tolist(),
            sampled.entropies_B.tolist(),
            strict=True,
        ):
            episode.add(token, logprob, entropy)
            if episode.request is not None:
                episode.request.sampled += 1

    def _retire(self, active: list[EngineEpisode]) -> None:
        """Return finished messages to their callers."""
        unfinished: list[EngineEpisode] = []
        for episode in active:
            request = episode.request
            stopped = episode.ids[-1] in self._stops
            if request is None or stopped or request.sampled >= request.max_tokens:
                finish(episode, stopped=stopped)
            else:
                unfinished.append(episode)
        active[:] = unfinished


def _uncached(episode: EngineEpisode) -> int:
    return len(episode.ids) - episode.cached


def _fresh_mask(positions_BQ: Tensor) -> Tensor:
    """Bool, B1QK over the pass's own tokens: causal, padding hidden. Padding attends to itself."""
    width = positions_BQ.shape[1]
    order_Q = torch.arange(width, device=positions_BQ.device)
    causal_QK = order_Q[None, :] <= order_Q[:, None]
    itself_QK = order_Q[None, :] == order_Q[:, None]
    return ((causal_QK & (positions_BQ >= 0)[:, None, :]) | itself_QK)[:, None]


@contextmanager
def _inference_mode(model: PreTrainedModel) -> Generator[None]:
    """Switch dropout off, and restore the mode afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _require_full_attention(model: PreTrainedModel) -> None:
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise ConfigError(
            f"{config.model_type!r} has layers of types {sorted(kinds)!r}; this engine caches full "
            "attention only: use vLLM for it"
        )
    attention = _attention(model)
    if attention not in ("sdpa", "eager"):
        raise ConfigError(
            f"attention {attention!r} does not take four-dimensional masks: load the model "
            "with attn_implementation='sdpa'"
        )


def _attention(model: PreTrainedModel) -> str:
    config: Any = model.config  # the choice of kernel has no public name
    return config._attn_implementation
