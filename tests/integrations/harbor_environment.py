"""An environment of Harbor's without containers: folders in place of one, a process for the other.

Runs in Harbor's own Python. Paths of the container are those of a folder of the trial, in commands
and in scripts that are uploaded; the arena is served as its Dockerfile says, with what the Compose
file gives it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from harbor.environments.base import BaseEnvironment, ExecResult

_PATHS = re.compile(r"(?<![\w/.:}])/(?=(?:logs|tests|solution|app)\b)")


class LocalEnvironment(BaseEnvironment):
    """Runs what would run in containers in a folder of this machine."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._root = Path(tempfile.mkdtemp(prefix="harbor-"))
        self._served: subprocess.Popen[bytes] | None = None
        self._url = ""

    @staticmethod
    def type() -> str:
        return "local"

    def _validate_definition(self) -> None:
        assert (self.environment_dir / "Dockerfile").is_file()

    async def start(self, force_build: bool) -> None:
        compose = yaml.safe_load((self.environment_dir / "docker-compose.yaml").read_text())
        environment = compose["services"]["arena"]["environment"]
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        run = str(self.environment_dir / "arena/run")
        module = "astra.serve.one_episode"
        command = [sys.executable, "-m", module, run, str(port)]
        self._served = subprocess.Popen(command, env={**os.environ, **environment})
        self._url = f"http://127.0.0.1:{port}"
        for folder in ("logs/agent", "logs/verifier", "logs/artifacts", "app"):
            (self._root / folder).mkdir(parents=True)
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self._url}/health", timeout=5).close()
                return
            except OSError:
                assert self._served.poll() is None and time.monotonic() < deadline
                await asyncio.sleep(0.1)

    async def stop(self, delete: bool) -> None:
        if self._served is not None:
            self._served.terminate()
            self._served.wait(30)
        shutil.rmtree(self._root)

    def _here(self, text: str) -> str:
        return _PATHS.sub(f"{self._root}/", text)

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        target = Path(self._here(target_path))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source_path, target)
        if target.suffix in (".py", ".sh"):
            target.write_text(self._here(target.read_text("utf-8")), "utf-8")

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        for path in Path(source_dir).rglob("*"):
            if path.is_file():
                name = path.relative_to(source_dir).as_posix()
                await self.upload_file(path, f"{target_dir}/{name}")

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        shutil.copyfile(self._here(source_path), target_path)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        shutil.copytree(self._here(source_dir), target_dir, dirs_exist_ok=True)

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        merged = {**os.environ, **(self._merge_env(env) or {}), "ARENA_URL": self._url}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", self._here(command)),
            cwd=self._root / "app",
            env=merged,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), timeout_sec)
        return ExecResult(
            stdout=out.decode(), stderr=err.decode(), return_code=process.returncode or 0
        )
