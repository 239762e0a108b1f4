"""Problems with a verifiable answer: read, made, and their answers verified. Single-turn RL."""
