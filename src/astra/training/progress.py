"""Whether a run shows progress."""

from __future__ import annotations

import sys

from astra.configs.base import OutputConfig


def quiet(config: OutputConfig) -> bool:
    """Whether progress bars are off: by option, or because nobody watches."""
    if config.progress is not None:
        return not config.progress
    return not (sys.stderr.isatty() or "ipykernel" in sys.modules)
