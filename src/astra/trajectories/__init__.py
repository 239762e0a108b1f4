"""From tool documents to judged multi-turn trajectories (ASTRA paper, trajectory synthesis)."""
