"""Credit: which token is pushed how much. GiGPO and ACPO on the port of algorithms.

Every tensor's name ends in its axes: B rollouts, T completion tokens, K steps. What the ACPO paper
(arXiv 2510.08899) is known to say is marked *given*, our own precise choices *ours*: the paper was
read in abstract and public summaries only, and no code of it was published.
"""
