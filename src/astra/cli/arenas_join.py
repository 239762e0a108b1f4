"""`astra arenas join`: several run folders of arenas as one."""

from __future__ import annotations

from astra.arenas.join import join_arenas
from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.arenas import JoinArenasConfig


@command_from(
    JoinArenasConfig,
    examples=[
        "astra arenas join runs/world runs/shop --out runs/both",
        "astra arenas join runs/world runs/shop runs/api --limit 500 --out runs/all",
    ],
)
def command(config: JoinArenasConfig, *, as_json: bool) -> None:
    """Put the arenas of several run folders into one.

    Certificates, tools and databases come along. An arena that several folders hold is in once. An
    arena of split train is left out if another folder holds its question out.
    """
    joined = join_arenas(config)
    arenas, left_out = joined.arenas, {"repeated": joined.repeated, "held_out": joined.held_out}
    if as_json:
        report = {"out": str(arenas.path), "arenas": len(arenas)}
        print_json(report | {"taken": joined.taken, "left_out": left_out})
        return
    taken = ", ".join(f"{count} of {folder}" for folder, count in joined.taken.items())
    text = f"{len(arenas)} arenas in {arenas.path}: {taken}"
    if any(left_out.values()):
        text += (
            f"; left out: {joined.repeated} that an earlier folder holds, too, "
            f"{joined.held_out} to train on whose question another folder holds out"
        )
    out().print(plain(text), soft_wrap=True)
