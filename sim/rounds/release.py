"""From the model that a block makes to the versions that it releases, and to the model that counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from sim.chain.block import GENESIS
from sim.chain.registry import FIRST, Kept, Version, worth_restoring

if TYPE_CHECKING:
    from sim.chain.state import ChainState
    from sim.world import World


class Released(NamedTuple):
    """The model that counts after a block, the versions that the block releases, and those that may be restored later."""

    model: int
    versions: tuple[Version, ...] = ()
    kept: tuple[Kept, ...] = ()


def first_version(world: World, model: int) -> tuple[Kept, ...]:
    """The version before any block; none without a registry."""
    if not world.scenario.registry.on:
        return ()
    return (
        Kept(
            Version(FIRST, world.models.digest(model), GENESIS, 0, -1, _accuracy(world, model)),
            model,
        ),
    )


def release(world: World, parent: ChainState, model: int, block: bytes, author: int) -> Released:
    """Release the model that a block on top of `parent` made; when it is much worse than one before, that one comes back.

    A block that changes nothing releases nothing.
    """
    settings = world.scenario.registry
    if not settings.on or model == parent.model:
        return Released(model, (), parent.kept)
    made = _accuracy(world, model)
    version = Version(
        parent.kept[-1].version.id,
        world.models.digest(model),
        block,
        world.round_index,
        author,
        made,
    )
    new = [Kept(version, model)]
    best = worth_restoring(parent.kept, made, settings.rollback_drop)
    if best is not None:
        old = best.version
        back = Version(
            version.id, old.weights, block, world.round_index, author, old.accuracy, old.id
        )
        new.append(Kept(back, best.model))
    keep = settings.keep if settings.rollback_drop else 1
    return Released(new[-1].model, tuple(k.version for k in new), (*parent.kept, *new)[-keep:])


def _accuracy(world: World, model: int) -> float:
    """On the held-out samples; NaN when there are none."""
    if not len(world.split.held_out):
        return math.nan
    return float(world.held_out_accuracy(world.models[model][None])[0])
