"""`astra.collect_tools`: from MCP servers, OpenAPI documents and lists of functions to a folder."""

from __future__ import annotations

from pathlib import Path

from astra.configs.base import paths
from astra.configs.tools import CollectToolsConfig
from astra.runs.opening import open_run
from astra.runs.progress import progress_console
from astra.trajectories.collect.sources import source_digest, source_files
from astra.trajectories.collect.stages import collect
from astra.trajectories.teachers import trajectory_teacher


async def collect_tools(config: CollectToolsConfig) -> Path:
    """Collect tools into a run folder; return its path.

    Asks live MCP servers, reads documents, normalizes, filters, and names missing domains if there
    is a teacher. Raises ConfigError for a source that does not exist.
    """
    digests = {file.name: source_digest(file) for file in source_files(paths(config.sources))}
    folder = open_run(config, config.out, inputs={"sources": digests})
    console = progress_console(config.progress)
    with folder.lock():
        if config.teacher is None:
            await collect(config, folder, None, console)
            return folder.path
        async with trajectory_teacher(config, folder, seed=config.seed) as teacher:
            await collect(config, folder, teacher, console)
    return folder.path
