"""How the pages are opened: as files on the disk, by the command, in a notebook."""

from __future__ import annotations

import html
import re
import socket
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest

import astra
from astra.cli.main import run as run_command
from astra.errors import ConfigError, StoreError
from astra.viewer.export import export_site
from astra.viewer.shelf import Shelf
from tests.viewer.made import plain, world

_LINK = re.compile(r'(?:href|src|action)="([^"#]+)')


def test_every_link_of_an_export_is_a_file(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    shown = [str(runs / name) for name in ("world", "world-gold", "rl")]
    assert run_command(["view", *shown, "--export", str(site)]) == 0
    assert f"open {site / 'index.html'}" in capsys.readouterr().out.replace("\n", "")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text("utf-8")
        assert "<form" not in text.replace('<form method="dialog">', "").replace(
            '<form class="filters script-only"', ""
        )
        for link in _LINK.findall(text):
            path = (page.parent / unquote(html.unescape(link))).resolve()
            assert site in path.parents and path.is_file(), f"{page}: {link}"
    arena = site / "world" / "arenas" / f"{world()[0].id}.html"
    assert "What is the capital of Germany?" in plain(arena.read_text("utf-8"))


def test_an_export_says_what_it_leaves_out(runs: Path, tmp_path: Path) -> None:
    export_site(Shelf([runs / "world"]), tmp_path / "site", rows=3)
    text = plain((tmp_path / "site/world/arenas.html").read_text("utf-8"))
    assert "8 rows; 5 of them are not in this export" in text
    written = {path.stem for path in (tmp_path / "site/world/arenas").glob("*.html")}
    assert {arena.id for arena in world()[:3]} == written


def test_what_is_no_folder_of_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        astra.view(tmp_path / "none")
    with pytest.raises(StoreError, match="there is no run folder"):
        astra.view(tmp_path)


def test_pages_beside_a_notebook(runs: Path) -> None:
    with closing(astra.view(runs / "world", port=0)) as view:
        assert f'<iframe src="{view.url}"' in view._repr_html_()
        with urllib.request.urlopen(view.url) as answer:
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors http://127.0.0.1:* http://localhost:*" in policy
            assert b"world" in answer.read()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(view.url)


def test_a_port_that_is_taken(runs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="port"):
            astra.view(runs / "world", port=port)


def test_other_machines_need_a_token(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIEW_TOKEN", raising=False)
    opened = ["view", str(runs / "world"), "--no-open", "--host", "0.0.0.0"]
    assert run_command(opened) == 2
    assert "can be reached from other machines" in capsys.readouterr().err.replace("\n", " ")
    assert run_command([*opened, "--token-env", "VIEW_TOKEN"]) == 2
    assert "VIEW_TOKEN" in capsys.readouterr().err
