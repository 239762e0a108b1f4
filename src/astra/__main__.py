"""The `astra` command, also as `python -m astra`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Entry point of the console script; Ctrl-C may come while there is still much to import."""
    try:
        from astra.cli.main import main as command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: resume with the same command\n")
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
