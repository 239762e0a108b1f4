"""The modules that tool code can import when there is no file system: loaded before it is left."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = (
    "abc", "argparse", "array", "ast", "base64", "binascii", "bisect", "builtins", "calendar",
    "cmath", "codecs", "collections", "collections.abc", "colorsys", "contextlib", "copy", "csv",
    "ctypes", "dataclasses", "datetime", "decimal", "difflib", "enum", "errno", "fnmatch",
    "fractions", "functools", "gc", "graphlib", "hashlib", "heapq", "hmac", "html", "html.parser",
    "inspect", "io", "ipaddress", "itertools", "json", "keyword", "locale", "logging", "math",
    "numbers", "operator", "os", "os.path", "pathlib", "pprint", "queue", "random", "re",
    "resource", "sched", "secrets", "shlex", "signal", "socket", "sqlite3", "statistics", "string",
    "stringprep", "struct", "sys", "textwrap", "threading", "time", "timeit", "tomllib",
    "traceback", "types", "typing", "unicodedata", "urllib.parse", "uuid", "warnings", "weakref",
    "xml.etree.ElementTree", "zlib", "zoneinfo",
)  # fmt: skip
# Imported by the standard library itself at first use, when it is too late.
_HIDDEN = (
    "_strptime", "_pydecimal", "_compat_pickle", "json.tool", "encodings.ascii",
    "encodings.latin_1", "encodings.utf_8", "encodings.utf_8_sig", "encodings.utf_16",
    "encodings.utf_16_le", "encodings.utf_16_be", "encodings.utf_32", "encodings.cp1252",
    "encodings.idna", "encodings.punycode", "encodings.gbk", "encodings.gb18030",
    "encodings.raw_unicode_escape", "encodings.unicode_escape", "pyexpat", "copyreg",
)  # fmt: skip


class _NoMore(importlib.abc.MetaPathFinder):
    """Says in plain words why an import fails, where the usual finders would say EPERM."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        raise ModuleNotFoundError(
            f"No module named {fullname!r} in the sandbox: tools import from the standard "
            "library, without files, network or processes",
            name=fullname,
        )


def load() -> None:
    """Import everything a tool may want."""
    for name in (*MODULES, *_HIDDEN):
        with contextlib.suppress(ImportError):  # built without it, as some platforms are
            importlib.import_module(name)


def close() -> None:
    """No further module can be found."""
    sys.meta_path[:] = [_NoMore()]
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.path_importer_cache.clear()
