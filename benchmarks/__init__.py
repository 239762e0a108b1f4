"""Benchmarks: each `bench_*.py` measures figures that the README states, with their goals."""
