"""`python -m astra` is the `astra` command."""

from astra.cli.main import main

main()
