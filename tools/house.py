"""Figures about the form of a Python package, as JSON: `python tools/house.py [folder]`.

Lines, functions, their 90th percentile of length, the share of private helpers with one caller, the
share of lines with a comment, public class names that stand in two modules, and import cycles.
"""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import networkx

PACKAGE = Path("src/astra")


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted name -> file, of every module."""
    modules: dict[str, Path] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def repeated_class_names(modules: Mapping[str, Path]) -> dict[str, list[str]]:
    """Public class names that are defined in more than one module, with these."""
    owners: dict[str, set[str]] = defaultdict(set)
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].add(module)
    return {name: sorted(where) for name, where in owners.items() if len(where) > 1}


def import_cycles(modules: Mapping[str, Path]) -> list[list[str]]:
    """Groups of modules that import each other, imports in functions and for types included."""
    graph = networkx.DiGraph()
    for module, path in modules.items():
        for target in _imports(module, ast.parse(path.read_text("utf-8"))):
            # A package's own __init__ is loaded before its modules anyway.
            if target in modules and target != module and not module.startswith(f"{target}."):
                graph.add_edge(module, target)
    return [sorted(c) for c in networkx.strongly_connected_components(graph) if len(c) > 1]


def _imports(module: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, node.module])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def figures(package: Path) -> dict[str, float]:
    """All figures of a package."""
    modules = modules_of(package)
    lines = comments = single = 0
    lengths: list[int] = []
    for path in modules.values():
        text = path.read_text("utf-8")
        rows = text.splitlines()
        lines += len(rows)
        comments += sum(row.strip().startswith("#") or "  # " in row for row in rows)
        nodes = list(ast.walk(ast.parse(text)))
        uses = Counter(node.id for node in nodes if isinstance(node, ast.Name))
        uses.update(node.attr for node in nodes if isinstance(node, ast.Attribute))
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append((node.end_lineno or node.lineno) - node.lineno + 1)
                private = node.name.startswith("_") and not node.name.startswith("__")
                single += private and uses[node.name] == 1
    lengths.sort()
    return {
        "files": len(modules),
        "lines": lines,
        "functions": len(lengths),
        "p90_length": lengths[int(len(lengths) * 0.9)],
        "longest": lengths[-1],
        "single_caller_share": round(single / len(lengths), 3),
        "comment_share": round(comments / lines, 4),
        "repeated_class_names": len(repeated_class_names(modules)),
        "import_cycles": len(import_cycles(modules)),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE
    sys.stdout.write(json.dumps(figures(folder)) + "\n")
