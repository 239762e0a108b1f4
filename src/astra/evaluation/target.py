"""Making arenas for a given model: those stay that it solves sometimes."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

from astra.arenas.make import produce_arenas
from astra.arenas.openapi.service import DocumentNote
from astra.arenas.opening import require_arenas
from astra.arenas.pipeline import ArenaProduction
from astra.arenas.sets import ArenaSet
from astra.arenas.tables.schema import Schema
from astra.configs.arenas import MakeArenasConfig
from astra.configs.base import SandboxConfig
from astra.configs.evaluation import SelectArenasConfig
from astra.configs.target import TargetConfig
from astra.core.files import temporary_folder
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.select import select_arenas
from astra.models.keys import api_key
from astra.runs.opening import open_run

DRAWN = "drawn"
"""Folder of all arenas that were made, within that of those that stay."""


class TargetedArenas(NamedTuple):
    """What was made for a model."""

    drawn: ArenaProduction
    kept: ArenaSet


async def make_arenas_for_target(config: MakeArenasConfig) -> ArenaSet:
    """Make arenas, and keep those that `config.target` solves sometimes.

    Raises and warns as `astra.arenas.make.make_arenas` and `select_arenas`.
    """
    made = await produce_arenas_for_target(config)
    return made.kept


async def produce_arenas_for_target(
    config: MakeArenasConfig,
    on_schema: Callable[[Schema], None] = lambda schema: None,
    on_notes: Callable[[Sequence[DocumentNote]], None] = lambda notes: None,
    on_episode: Callable[[PlayedEpisode, int], None] | None = None,
) -> TargetedArenas:
    """As `make_arenas_for_target`, with a report. Stopped, it resumes where it was."""
    api_key(config.target_key_env)  # a key that is missing is noticed before hours of work
    with ExitStack() as stack:
        path = stack.enter_context(temporary_folder()) if config.out is None else Path(config.out)
        selection = _selection(config, path)
        # Overwriting, or refusing to, comes before anything is put into the folder.
        open_run(selection, path)
        options = {field.name: None for field in fields(TargetConfig)}
        drawing = replace(config, **options, out=path / DRAWN, if_exists="resume")
        drawn = await produce_arenas(drawing, on_schema, on_notes)
        require_arenas(drawn, config.count)
        kept = await select_arenas(replace(selection, if_exists="resume"), on_episode=on_episode)
    if config.out is None:
        weakref.finalize(kept, shutil.rmtree, path, ignore_errors=True)
    return TargetedArenas(drawn, kept)


def _selection(config: MakeArenasConfig, path: Path) -> SelectArenasConfig:
    shared = {field.name: getattr(config, field.name) for field in fields(SandboxConfig)}
    if config.pass_rate is not None:
        shared["pass_rate"] = config.pass_rate
    if config.target_samples is not None:
        shared["samples"] = config.target_samples
    return SelectArenasConfig(
        path / DRAWN,
        model=config.target,
        base_url=config.target_url,
        api_key_env=config.target_key_env,
        out=path,
        seed=config.seed,
        if_exists=config.if_exists,
        progress=config.progress,
        **shared,
    )
