"""Step-level credit assignment: GiGPO, ACPO and others, as implementations of `Algorithm`.

Tensor names end in their axes: B rollouts, T completion tokens, K steps. Only the abstract and
public summaries of the ACPO paper (arXiv 2510.08899) could be read, and no code was published. What
these say is marked *given*, choices of this package *ours*.
"""
