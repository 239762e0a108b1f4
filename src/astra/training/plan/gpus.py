"""Kinds of GPUs, as their vendors' data sheets have them. Sources: docs/train-plan.md."""

from __future__ import annotations

from typing import NamedTuple

from astra.configs.plan import GpuName


class Gpu(NamedTuple):
    """One GPU. Peaks are dense ones: data sheets often tell twice as many, with sparsity."""

    memory: float
    """Bytes."""
    bf16: float
    """FLOP/s of matrix products in bfloat16, accumulated in float32."""
    fp32: float
    """FLOP/s in float32, without TF32, as PyTorch computes by default."""
    bandwidth: float
    """Bytes per second between memory and processors."""


GPUS: dict[GpuName, Gpu] = {
    "h200": Gpu(141e9, 989e12, 67e12, 4.8e12),
    "h100": Gpu(80e9, 989e12, 67e12, 3.35e12),
    "a100": Gpu(80e9, 312e12, 19.5e12, 2.04e12),
    "b200": Gpu(180e9, 2250e12, 75e12, 7.7e12),
    "mi300x": Gpu(192e9, 1307e12, 163e12, 5.3e12),
    "l40s": Gpu(48e9, 362e12, 91.6e12, 0.864e12),
    "rtx4090": Gpu(24e9, 165e12, 82.6e12, 1.008e12),
}
