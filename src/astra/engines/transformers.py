"""Token-exact generation with transformers models: keys and values are kept across turns.

Episodes share forward passes; only new tokens are fed, and a prompt that several episodes have in
common is worked through once. What comes out is, token for token at temperature 0, what
`model.generate` gives for each conversation alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from astra.engines.cache import SlotCache
from astra.engines.engine import BatchingEngine, finish
from astra.engines.episode import EngineEpisode
from astra.engines.sampling import draw
from astra.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from astra.chat.template import ChatTemplate


class TransformersEngine(BatchingEngine):
    """Runs a causal language model of transformers with full attention in every layer.

    `context`: most tokens of a conversation; None: what the model was made for. `prefill_tokens`:
    most new tokens, padding included, of one forward pass; `padding`: most that are padding, so
    that one long tool result does not make all others as long. Raises ConfigError for models whose
    layers don't all attend to everything before them: their caches can't be kept this way.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: ChatTemplate,
        *,
        name: str = "policy",
        context: int | None = None,
        lockstep: bool = True,
        top_k: int | None = None,
        prefill_tokens: int = 16_384,
        padding: int = 256,
    ) -> None:
        _require_full_attention(model)
        longest = int(model.config.get_text_config().max_position_embeddings)
        super().__init__(name, chat, min(context or longest, longest), lockstep=lockstep)
        self.model = model
        self._top_k = top_k
        self._prefill_tokens = prefill_tokens
        self._padding = padding
        self._stops = frozenset(chat.stop_ids)
        self._cache = SlotCache()
        self._kept: list[EngineEpisode] = []
        """Episodes by slot; some may be closed."""
        # An adapter around the model hides its signature.
        inner: Any = model
        if hasattr(inner, "get_base_model"):
            inner = inner.get_base_model()
        parameters = inspect.signature(inner.forward).parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"

    async def _serve(self, episodes: list[EngineEpisode]) -> None:
        with _for_inference(self.model):
            while True:
                # Whoever asked may have gone since.
                episodes[:] = [episode for episode in episodes if episode.request is not None]
                if self._waiting and (not self._lockstep or not episodes):
                    if not self._complete():
                        return
                    joining = self._joining()
                    episodes.extend(joining)
                    self._admit(joining)
                elif episodes:
                    self._step(episodes)
                else:
                    return
                self._retire(episodes)
                # Those that are done call their tools while the others go on.
                await asyncio.sleep(0)

    def leave(self, episode: EngineEpisode) -> None:
        super().leave(episode)
        if not self._open:
            self._kept.clear()

    def forget(self) -> None:
        """Give the memory of the cache back, e.g. before a backward pass on a GPU."""
        if not self._open:
            self._cache.drop()

    # --- slots -----------------------------------------------------------------------------

    @torch.inference_mode()
    def _admit(self, joining: Sequence[EngineEpisode]) -> None:
        """Feed what is new of each episode and sample one token for it."""
        self._compact()
        for episode in joining:
            if episode.slot < 0:
                episode.slot = len(self._kept)
                self._kept.append(episode)
        self._cache.reserve(len(self._kept), max(len(e.ids) for e in joining) + 1)
        known = [episode for episode in joining if episode.cached]
        self._begin([episode for episode in joining if not episode.cached])
        for chunk in self._chunks(known):
            self._sample(chunk, self._forward(chunk, fresh=False))

    def _begin(self, episodes: Sequence[EngineEpisode]) -> None:
        """Work once through a prompt that several episodes have in common."""
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
        """Close the gaps that closed episodes left."""
        for slot in range(len(self._kept) - 1, -1, -1):
            if self._kept[slot].open:
                continue
            last = self._kept.pop()
            if slot < len(self._kept):
                self._cache.copy(last.slot, slot, last.cached)
                last.slot, self._kept[slot] = slot, last

    def _arrange(self, active: list[EngineEpisode]) -> None:
        """Have the active episodes in the first slots, so that a step reads them without a copy."""
        wanting = [e for e in active if e.slot >= len(active)]
        if wanting:
            taken = {e.slot for e in active}
            free = (slot for slot in range(len(active)) if slot not in taken)
            for episode, slot in zip(wanting, free, strict=True):
                other = self._kept[slot]
                self._cache.swap(slot, episode.slot, max(other.cached, episode.cached))
                self._kept[slot], self._kept[episode.slot] = episode, other
                other.slot, episode.slot = episode.slot, slot
        active.sort(key=lambda episode: episode.slot)

    def _chunks(self, episodes: Sequence[EngineEpisode]) -> Iterator[list[EngineEpisode]]:
        """Episodes by the number of their new tokens, in forward passes of little padding."""
        chunk: list[EngineEpisode] = []
        new = 0
        for episode in sorted(episodes, key=_new):
            width = _new(episode)
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
        """One more token for every active episode."""
        self._arrange(active)
        self._cache.reserve(len(self._kept), max(len(episode.ids) for episode in active) + 1)
        self._sample(active, self._forward(active, fresh=False))

    def _forward(self, episodes: Sequence[EngineEpisode], *, fresh: bool) -> Tensor:
        """Logits_BV after each episode's last token; feeds those that are not in the cache."""
        device = self.model.device
        new = [episode.ids[episode.cached :] for episode in episodes]
        width = max(map(len, new))
        # Padding stands on the left, so that the last column is the last token of every row.
        ids_BQ = torch.tensor([[0] * (width - len(ids)) + ids for ids in new], device=device)
        ends_B1 = torch.tensor([[len(e.ids)] for e in episodes], device=device)
        starts_B1 = torch.tensor([[e.cached] for e in episodes], device=device)
        positions_BQ = ends_B1 - width + torch.arange(width, device=device)
        positions_BQ = torch.where(positions_BQ < starts_B1, -1, positions_BQ)
        span = max(len(episode.ids) for episode in episodes)
        slots = [episode.slot for episode in episodes]
        self._cache.aim(slots, positions_BQ, span, fresh=fresh)
        seen = _fresh_mask(positions_BQ) if fresh else _mask(positions_BQ, span)
        output = self.model(
            input_ids=ids_BQ,
            attention_mask=self._as_mask(seen),
            position_ids=positions_BQ.clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: self._cache},
        )
        for episode in episodes:
            episode.cached = len(episode.ids)
        self.clock.prompt_tokens += sum(map(len, new)) - len(new)
        return output.logits[:, -1]

    def _as_mask(self, seen: Tensor) -> Tensor:
        if _attention(self.model) == "sdpa":
            return seen
        dtype = self.model.dtype
        return torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)

    def _sample(self, episodes: Sequence[EngineEpisode], logits_BV: Tensor) -> None:
        device = logits_BV.device
        sampling = [cast(Any, episode.request).sampling for episode in episodes]
        warm = [1.0 if s.temperature is None else s.temperature for s in sampling]
        drawn = draw(
            logits_BV,
            torch.tensor([e.uniform() for e in episodes], dtype=torch.float64, device=device),
            torch.tensor(warm, device=device),
            top_p_B=torch.tensor([1.0 if s.top_p is None else s.top_p for s in sampling]),
            top_k=self._top_k,
        )
        self.clock.sampled_tokens += len(episodes)
        for episode, token, logprob, entropy in zip(
            episodes,
            drawn.tokens_B.tolist(),
            drawn.logprobs_B.tolist(),
            drawn.entropies_B.tolist(),
            strict=True,
        ):
            episode.add(token, logprob, entropy)
            if episode.request is not None:
                episode.request.sampled += 1

    def _retire(self, active: list[EngineEpisode]) -> None:
        """Hand back the messages that are finished."""
        going: list[EngineEpisode] = []
        for episode in active:
            request = episode.request
            stopped = episode.ids[-1] in self._stops
            if request is None or stopped or request.sampled >= request.max_tokens:
                finish(episode, stopped=stopped)
            else:
                going.append(episode)
        active[:] = going


def _new(episode: EngineEpisode) -> int:
    """Tokens that are not in the cache."""
    return len(episode.ids) - episode.cached


def _mask(positions_BQ: Tensor, span: int) -> Tensor:
    """Bool, B1QK: every token sees its row up to itself; padding sees the first key."""
    keys_K = torch.arange(span, device=positions_BQ.device)
    return (keys_K <= positions_BQ.clamp(min=0)[..., None])[:, None]


def _fresh_mask(positions_BQ: Tensor) -> Tensor:
    """Bool, B1QK over the pass's own tokens: causal, without padding, which sees itself."""
    width = positions_BQ.shape[1]
    order_Q = torch.arange(width, device=positions_BQ.device)
    causal_QK = order_Q[None, :] <= order_Q[:, None]
    itself_QK = order_Q[None, :] == order_Q[:, None]
    return ((causal_QK & (positions_BQ >= 0)[:, None, :]) | itself_QK)[:, None]


@contextmanager
def _for_inference(model: PreTrainedModel) -> Generator[None]:
    """Without drop-out, and as it was afterwards."""
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
            f"{config.model_type!r} has layers of the kinds {sorted(kinds)!r}; this engine keeps "
            "caches of full attention only: use a vLLM engine for it"
        )
    attention = _attention(model)
    if attention not in ("sdpa", "eager"):
        raise ConfigError(
            f"attention {attention!r} takes no masks of four dimensions: load the model with "
            "attn_implementation='sdpa'"
        )


def _attention(model: PreTrainedModel) -> str:
    config: Any = model.config  # the choice of kernel has no public name
    return config._attn_implementation
