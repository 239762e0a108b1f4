"""Token-exact generation by local models, for rollouts in training and evaluation."""
