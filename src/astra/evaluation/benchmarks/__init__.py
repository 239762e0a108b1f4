"""The field's benchmarks, by their own data and checkers, each in a Python environment of its own.

One file per benchmark here says what is installed and which script of `workers/` plays it.
"""
