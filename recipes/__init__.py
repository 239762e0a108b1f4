"""Recipes: whole experiments with ASTRA, outside the package. Run them from the repository root.

`rl_loop` is the bare RL loop. `demo` goes from tables to a trained model. `reproduce` repeats the
comparisons of the papers. `nano` makes a model small enough for a CPU. `problems` trains on maths
problems, which are tasks that are not arenas. `verl` trains with verl and our credit.
"""
