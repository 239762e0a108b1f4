"""Scripts that run in the environments of the benchmarks. They import nothing of ASTRA."""
