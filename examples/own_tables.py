"""Make arenas from tables of your own, certify one again, and bound what a score can be.

python examples/own_tables.py examples/world runs/world
"""

from __future__ import annotations

import sys

import astra


def main() -> None:
    tables, out = sys.argv[1:]
    arenas = astra.make_arenas(tables, count=6, max_hops=3, out=out)
    for arena in arenas:
        print(f"{arena.hops} hops, {len(arena.distractors)} distractors: {arena.question}")

    # A certificate is evidence, not a label: run the checks again, with another seed.
    certificate = astra.certify(arenas[0], seed=1)
    print(f"{arenas[0].id} is {'' if certificate.certified else 'not '}certified")

    # gold makes the right calls, null none, shuffled right tools with the wrong arguments.
    for name in ("gold", "null", "shuffled"):
        episodes = [astra.rollout(arena, astra.reference_policy(name, arena)) for arena in arenas]
        mean = sum(episode.reward for episode in episodes) / len(episodes)
        print(f"{name:8} {mean:.2f}")


if __name__ == "__main__":
    main()
