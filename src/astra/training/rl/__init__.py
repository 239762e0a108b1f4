"""Multi-turn RL in arenas: GRPO with adaptive batch filling, on TRL's trainer."""
