"""Generation by models on this machine: token-exact, for rollouts in training and evaluation."""
