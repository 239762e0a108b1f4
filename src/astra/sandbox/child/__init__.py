"""What runs inside the sandbox processes: standard library only, and nothing else of this package.

These files are loaded by a bare interpreter under the name `astra_child` (see `..process`), so
they import each other relatively and never import `astra`.
"""
