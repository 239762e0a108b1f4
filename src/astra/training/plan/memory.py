"""Memory of a training per GPU. The formula stands in docs/train-plan.md, line by line.

Not counted: the driver's own memory, workspaces of kernels, and what the allocator cannot use
between its blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from astra.training.plan.sizes import ModelSizes, PassDtype

TILE_TOKENS, TILE_VOCABULARY = 4_096, 32_768
"""What TRL's loss computes of the logits at once (`trl.kernels.chunked_logprob`)."""
BACKWARD = 0.3
"""Gradients and copies during a layer's backward pass, as a multiple of what it keeps: measured,
see docs/train-plan.md."""
PREFILL_TOKENS = 16_384
"""Most new tokens of one pass in `TransformersEngine`."""


@dataclass(frozen=True)
class PlanSettings:
    """What the memory and the time of a training depend on, beside its model."""

    rl: bool
    gpus: int
    sharded: bool
    vllm: bool
    ahead: bool
    """Whether the next batch is sampled while this one trains, with a copy of the weights."""
    partial: bool
    """Whether half a batch more is begun, whose slowest episodes go on in the next step."""
    max_length: int
    micro_batch_size: int
    sequences: int
    """Sequences of a step, over all processes: rows, or episodes."""
    concurrency: int
    """Episodes at the same time, per process. 0 for sft."""
    context_parallel: int
    lora_rank: int
    bf16: bool
    checkpointing: bool

    @property
    def dtype(self) -> PassDtype:
        """How a pass computes: under FSDP, weights are gathered in bfloat16."""
        if not self.bf16:
            return "fp32"
        return "bf16" if self.sharded else "autocast"

    @property
    def tokens(self) -> float:
        """Most tokens of a pass on one GPU."""
        return self.micro_batch_size * self.max_length / self.context_parallel

    @property
    def episodes_at_once(self) -> int:
        begun = self.sequences + (self.sequences // 2 if self.partial else 0)
        return min(self.concurrency, max(1, begun // self.gpus))


@dataclass(frozen=True)
class PlannedMemory:
    """Bytes per GPU."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """Kept from the forward pass to the backward pass."""
    working_set: float
    """The largest of: a layer computed again, log-probabilities, weights in bfloat16."""
    attention_mask: float
    """Of rows that are padded, as those of a micro-batch are and all episodes."""
    rollouts: float
    """Key-value cache, and the pass that fills it. Not at the same time as activations, unless
    vLLM generates, which keeps its memory, or the next batch is sampled meanwhile."""
    vllm_weights: float
    policy_copy: float
    """Weights to sample the next batch with: those that are trained, for frozen ones are shared."""
    whole_logits: float
    """What logits of all tokens would take: TRL computes them in chunks. Not in the total."""

    @property
    def training(self) -> float:
        """Of passes."""
        return self.activations + self.working_set + self.attention_mask

    @property
    def total(self) -> float:
        """The peak."""
        standing = self.weights + self.optimizer + self.vllm_weights + self.policy_copy
        training = self.gradients + self.training
        if self.vllm_weights or self.policy_copy:
            return standing + training + self.rollouts
        return standing + max(training, self.rollouts)


def planned_memory(
    sizes: ModelSizes, settings: PlanSettings, layer_bytes_per_token: float
) -> PlannedMemory:
    """The memory of a training. `layer_bytes_per_token`: see `sizes.layer_bytes`."""
    s = settings
    shards = s.gpus if s.sharded else 1
    adapters = sizes.lora(s.lora_rank)
    trained = adapters if s.lora_rank else sizes.parameters
    compute = 2 if s.bf16 else 4
    # Under autocast, embeddings and norms leave the residual stream in float32.
    stream = 2 if s.dtype == "bf16" else 4
    layer = s.tokens * layer_bytes_per_token
    kept = sizes.layers * s.tokens * sizes.width * stream
    copies = 2 * sizes.parameters if s.dtype == "autocast" else 0
    head_weights = sizes.vocabulary * sizes.width
    tile = min(s.tokens, TILE_TOKENS) * TILE_VOCABULARY * compute
    # Gradients of hidden states and of the head, in float32 before they are added up.
    head = tile + 4 * s.tokens * sizes.width + (0 if s.lora_rank else 4 * head_weights)
    gathered = 0
    if s.sharded:
        # The layer at work and the next one, or embedding and head, in the type of passes.
        gathered = compute * max(2 * sizes.largest_layer, 2 * head_weights)
    if s.checkpointing:
        activations, working = kept, max((1 + BACKWARD) * layer, head, copies) + gathered
    else:
        activations = sizes.layers * layer + copies
        working = max(BACKWARD * layer, head) + gathered
    padded = s.rl or s.micro_batch_size > 1
    # As booleans, and as what is added to the scores in the type of passes.
    mask = s.micro_batch_size * s.max_length**2 * (1 + compute) if padded else 0
    rollouts = 0.0
    if s.rl:
        rollouts = s.episodes_at_once * s.max_length * sizes.cached * compute
        if not s.vllm:
            rollouts += PREFILL_TOKENS * layer_bytes_per_token
    return PlannedMemory(
        weights=4 * (sizes.parameters + adapters) / shards,
        gradients=4 * trained / shards,
        optimizer=8 * trained / shards,
        activations=activations,
        working_set=working,
        attention_mask=mask / s.context_parallel,
        rollouts=rollouts,
        vllm_weights=2.0 * sizes.parameters if s.vllm else 0.0,
        policy_copy=4.0 * trained if s.ahead else 0.0,
        whole_logits=s.tokens * sizes.vocabulary * (compute + 4 + 4),
    )
