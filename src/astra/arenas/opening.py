"""What the commands that make arenas share: opening a pipeline, and asking for a result."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from shlex import quote

from astra.arenas.distractors import DistractorDraw
from astra.arenas.pipeline import ArenaPipeline, ArenaProduction
from astra.arenas.sets import ArenaSet
from astra.configs.arenas import MakeArenasConfig, ParaphraseArenasConfig, SynthesizeArenasConfig
from astra.configs.base import MakeDistractorsConfig
from astra.errors import StageError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.models.keys import api_key
from astra.protocols import Embedder
from astra.runs.opening import open_run
from astra.runs.progress import progress_console
from astra.runs.ray_cluster import executor_from
from astra.runs.runner import StageRunner
from astra.sandbox import sandbox_from
from astra.types import Json


@asynccontextmanager
async def open_pipeline(
    config: MakeArenasConfig | SynthesizeArenasConfig | ParaphraseArenasConfig,
    inputs: Mapping[str, Json],
) -> AsyncGenerator[ArenaPipeline]:
    """The pipeline of a command, with its run folder and sandbox open.

    `inputs`: hashes of what the options point to (see `open_run`).
    """
    # Before the folder: a key that is missing should leave no folder behind.
    embedder = open_embedder(config)
    folder = open_run(config, config.out, inputs=inputs, lowerable=("count",))
    # For the whole command, not stage by stage: another one must not come in between.
    with folder.lock():
        async with sandbox_from(config) as sandbox, executor_from(config) as executor:
            console = progress_console(config.progress)
            yield ArenaPipeline(
                StageRunner(folder, config.concurrency, console, executor),
                sandbox,
                embedder,
                DistractorDraw(config.distractors, config.distractors_per_band, config.seed),
                near_tools=isinstance(config, MakeArenasConfig)
                and (config.difficulty is not None or bool(config.near_tools)),
            )


def open_embedder(config: MakeDistractorsConfig) -> Embedder:
    """The embedder that measures the similarity of distractors."""
    if config.embedding_model is None or config.embedding_url is None:
        return TfidfEmbedder()
    from astra.models.embed_openai import OpenAIEmbedder  # a second to import, for few users

    key = api_key(config.embedding_key_env)
    return OpenAIEmbedder(config.embedding_model, config.embedding_url, key)


def require_arenas(production: ArenaProduction, count: int | None) -> ArenaSet:
    """The arenas. Warns if fewer than `count` were made; StageError if none."""
    arenas = production.arenas
    if not arenas:
        raise StageError(
            f"no arena could be made: `astra arenas stats {quote(str(arenas.path))}` lists what "
            "was rejected and why"
        )
    if count is not None and len(arenas) < count:
        warnings.warn(f"{count - len(arenas)} of {count} arenas are missing", stacklevel=2)
    return arenas
