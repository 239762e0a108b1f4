"""The form of the package: names that stand once, imports without cycles, and how it is counted."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import house  # noqa: E402 - a script, not a package

MODULES = house.modules_of(ROOT / "src" / "astra")


def test_a_public_class_name_stands_once() -> None:
    assert house.repeated_class_names(MODULES) == {}


def test_no_modules_import_each_other() -> None:
    assert house.import_cycles(MODULES) == []


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "__init__.py").write_text("from toy.inner.one import Same\n")
    (folder / "inner" / "one.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from toy import two\n"
        "class Same: ...\n"
        "class _Own: ...\n"
    )
    (folder / "two.py").write_text(
        "# why\n"
        "def _once():\n    return 1\n"
        "def shown():\n    from .inner.one import Same\n    return _once()\n"
        "class Same: ...\n"
        "class _Own: ...\n"
    )
    return folder


def test_what_is_counted(package: Path) -> None:
    modules = house.modules_of(package)
    assert house.repeated_class_names(modules) == {"Same": ["toy.inner.one", "toy.two"]}
    assert house.import_cycles(modules) == [["toy.inner.one", "toy.two"]]
    figures = house.figures(package)
    assert (figures["files"], figures["lines"], figures["functions"]) == (4, 14, 2)
    assert (figures["single_caller_share"], figures["longest"]) == (0.5, 3)
    assert figures["comment_share"] == round(1 / 14, 4)
