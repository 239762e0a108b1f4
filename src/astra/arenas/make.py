"""Certified arenas from tables: load, profile, plan, certify, mix distractors in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from astra.arenas.difficulty import ACTION_SETTINGS, SETTINGS, ActionDials, DialSettings
from astra.arenas.openapi.service import DocumentNote
from astra.arenas.openapi.source import open_service, service_source
from astra.arenas.opening import open_pipeline, require_arenas
from astra.arenas.pipeline import ArenaProduction
from astra.arenas.sets import ArenaSet
from astra.arenas.stateful.evidence import describe_writes
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.source import TOOLS, StateSource
from astra.arenas.tables.load.options import read_options
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.operations import OPERATIONS
from astra.arenas.tables.profile.descriptions import describe
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.arenas.tables.source import (
    PAPER_LANGUAGES,
    TableSource,
    TableSourceOptions,
    fingerprint,
)
from astra.configs.arenas import DescribeArenasConfig, MakeArenasConfig
from astra.configs.base import paths, weights
from astra.errors import ConfigError
from astra.runs.stage import copy_stage
from astra.types import Language, Scenario

NOTES = "notes"
"""Stage that stores what is left out of a document."""


async def make_arenas(config: MakeArenasConfig) -> ArenaSet:
    """Make certified arenas from tables, or from an OpenAPI document. No model is needed.

    Warns if fewer than `count` are certified (`summary["missing"]`). Raises StageError if none is,
    TableError for a file that is not a table.
    """
    return require_arenas(await produce_arenas(config), config.count)


async def produce_arenas(
    config: MakeArenasConfig,
    on_schema: Callable[[Schema], None] = lambda schema: None,
    on_notes: Callable[[Sequence[DocumentNote]], None] = lambda notes: None,
) -> ArenaProduction:
    """As `make_arenas`, with a report.

    `on_schema` is called with what the tables were read as, `on_notes` with what is left out of a
    document.
    """
    if config.openapi is not None:
        return await _produce_from_document(config, Path(config.openapi), on_notes)
    assert config.tables is not None
    options = _table_options(config)
    with load(paths(config.tables), options) as tables:
        schema = profile(tables, options)
        on_schema(schema)
        source = (
            StateSource(tables, schema, _state_options(config))
            if config.actions
            else TableSource(tables, schema, _source_options(config))
        )
        async with open_pipeline(config, {"tables": fingerprint(tables, schema)}) as pipeline:
            await pipeline.make(source.candidates(), config.count)
        return pipeline.production(dict(source.draws))


async def _produce_from_document(
    config: MakeArenasConfig, path: Path, on_notes: Callable[[Sequence[DocumentNote]], None]
) -> ArenaProduction:
    """Arenas over the store of an OpenAPI document."""
    service = open_service(path)
    on_notes(service.notes)
    source = service_source(service, _state_options(config))
    async with open_pipeline(config, {"openapi": service.digest}) as pipeline:
        await pipeline.runner.run(copy_stage(NOTES, DocumentNote), service.notes)
        await pipeline.make(source.candidates(), config.count)
    return pipeline.production(dict(source.draws))


def described_tables(config: DescribeArenasConfig) -> dict[str, list[str]]:
    """Lines on what tables are read as, and on what arenas with actions may write.

    Raises as `make_arenas`.
    """
    options = _table_options(config)
    with load(paths(config.tables), options) as tables:
        schema = profile(tables, options)
        writes = describe_writes(tables.connection, schema)
    return {"tables": describe(schema), "writes": writes}


def _table_options(config: MakeArenasConfig | DescribeArenasConfig) -> TablesOptions:
    if config.table_options is None:
        return TablesOptions()
    return read_options(Path(config.table_options), section="table_options")


def _state_options(config: MakeArenasConfig) -> StateSourceOptions:
    own = _own_dials(config, ("terse_documents", "fault_rate", "lookup_depth", "page_rows"))
    own |= {"long_results": config.long_results, "other_units": config.other_units}
    if config.max_parts is not None:
        own["parts"] = (1, config.max_parts)
    if config.shown_tools is not None:
        own["tools"] = (min(TOOLS[0], config.shown_tools), config.shown_tools)
    if config.openapi is not None:
        # Documents and pages are those of the service, and rules are made over tables alone.
        own |= {"terse_documents": False, "page_rows": None, "service_policy": False}
    return StateSourceOptions(
        hops=(config.min_hops, config.max_hops),
        languages=dict(weights(config.languages)),
        test_share=config.test_fraction,
        seed=config.seed,
        user_turns=(config.min_user_turns, config.max_user_turns),
        conversations=tuple(dict.fromkeys(config.conversations)),
        service_policy=config.service_policy is not None,
        dials=ActionDials(**own),
        levels={level: replace(ACTION_SETTINGS[level], **own) for level in config.levels()},
    )


def _own_dials(config: MakeArenasConfig, names: Iterable[str]) -> dict[str, Any]:
    """The dials that are set by options of their own, at all levels."""
    return {name: value for name in names if (value := getattr(config, name)) is not None}


def _source_options(config: MakeArenasConfig) -> TableSourceOptions:
    if unknown := sorted(set(config.operations or ()) - set(OPERATIONS)):
        raise ConfigError(
            f"operations: {unknown[0]!r} is unknown: choose among {', '.join(OPERATIONS)}"
        )
    languages: dict[Language, float] = dict(weights(config.languages))
    if languages == dict.fromkeys(PAPER_LANGUAGES, 1.0):
        # "en,zh" asks for both and says nothing of how many; the paper's shares are the default.
        languages = dict(PAPER_LANGUAGES)
    names = ("near_tools", "short_names", "other_values", "terse_documents", "fault_rate")
    own = _own_dials(config, names)
    options = TableSourceOptions(
        dials=DialSettings(**own),
        levels={level: replace(SETTINGS[level], **own) for level in config.levels()},
        hops=(config.min_hops, config.max_hops),
        languages=languages,
        operations=None if config.operations is None else frozenset(config.operations),
        test_share=config.test_fraction,
        seed=config.seed,
        max_rows=config.max_group_rows,
    )
    if config.scenarios is None:
        return options
    scenarios = {Scenario(name): weight for name, weight in weights(config.scenarios).items()}
    return replace(options, scenarios=scenarios)
