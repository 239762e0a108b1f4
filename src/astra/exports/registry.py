"""All readers that arenas are published for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from astra.exports.harbor import HARBOR
from astra.exports.huggingface import HUGGINGFACE
from astra.exports.inspect_ai import INSPECT
from astra.exports.nemo_gym import NEMO_GYM
from astra.exports.openenv import OPENENV
from astra.exports.publish import ExportFormat
from astra.exports.trl import TRL
from astra.exports.verifiers import VERIFIERS
from astra.exports.verl import VERL

FORMATS: Mapping[str, ExportFormat] = MappingProxyType(
    {
        "trl": TRL,
        "verifiers": VERIFIERS,
        "inspect": INSPECT,
        "harbor": HARBOR,
        "verl": VERL,
        "hf": HUGGINGFACE,
        "openenv": OPENENV,
        "nemo-gym": NEMO_GYM,
    }
)
"""Name of `astra arenas export --format` -> reader."""
