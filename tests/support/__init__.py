"""Fakes, servers and arenas that several tests and benchmarks share."""
