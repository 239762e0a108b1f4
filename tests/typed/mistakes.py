"""What the type checker must refuse: one error a line that is marked."""

import astra

astra.train_rl(modle="m", arenas="runs/world", out="runs/rl")  # wrong
astra.evaluate("runs/world", policy="golden")  # wrong
astra.make_arenas("examples/world", count="many")  # wrong
astra.rollout(5, astra.reference_policy("gold", astra.load_arenas("runs/world")[0]))  # wrong
