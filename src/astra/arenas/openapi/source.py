"""Draws arenas over the generated store of a service."""

from __future__ import annotations

from pathlib import Path

from astra.arenas.openapi.mentions import ServiceMentions
from astra.arenas.openapi.reader import read_service
from astra.arenas.openapi.rows import NOW, StoreRows
from astra.arenas.openapi.service import ApiService
from astra.arenas.openapi.tables import service_tables
from astra.arenas.openapi.tools import ServiceToolWriter
from astra.arenas.stateful.cut import TableRows
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.source import StateSource
from astra.arenas.stateful.worlds import StateWorld
from astra.configs.spelling import option_name
from astra.core.documents import read_document
from astra.core.openapi.operations import is_openapi
from astra.errors import ConfigError
from astra.types import Language

MOST_BYTES = 64 * 2**20
"""Of a document."""


def open_service(path: Path) -> ApiService:
    """The service of a document. Raises ConfigError for one of which no arena can be made."""
    if not path.is_file():
        raise ConfigError(f"there is no file {str(path)!r}: correct {option_name('openapi')}")
    document = read_document(path, MOST_BYTES, remedy=f"the {MOST_BYTES // 2**20} that are read")
    if not is_openapi(document):
        raise ConfigError(
            f"{str(path)!r} is no OpenAPI document: it has neither `openapi` nor `swagger` at its "
            "top"
        )
    return read_service(document, path.stem)


def service_source(service: ApiService, options: StateSourceOptions) -> StateSource:
    """The source of arenas over a service."""
    return StateSource.of_worlds(
        {language: _world(service, language, options.seed) for language in options.languages},
        options,
        "openapi",
    )


def _world(service: ApiService, language: Language, seed: int) -> StateWorld:
    if language != "en":
        raise ConfigError(
            f"{option_name('languages')} {language!r}: the resources and fields of this document "
            "are named in English alone; leave the option out"
        )
    schema, tables = service_tables(service)
    writer = ServiceToolWriter(service, schema, tables, language)
    rows = TableRows(tables, StoreRows(service, language, seed).all(), NOW)
    return StateWorld(rows, writer, writer.all(), ServiceMentions)
