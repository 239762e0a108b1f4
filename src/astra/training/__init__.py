"""Training: SFT, multi-turn RL in arenas, and the algorithms that give credit."""
