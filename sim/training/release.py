"""Turn the model of a block into released versions, and roll back when its accuracy drops."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from mechanisms.vocabulary import Memory, Payment
from sim.chain.block import GENESIS
from sim.chain.forks import ServerChain
from sim.chain.state import ChainState
from sim.chain.versions import FIRST, Kept, Version, worth_restoring
from sim.training.settings import VersionSettings
from sim.training.workbench import Workbench


class Released(NamedTuple):
    """The model after a block, the versions that it releases, and those that may be restored."""

    model: int
    versions: tuple[Version, ...] = ()
    kept: tuple[Kept, ...] = ()


def first_version(bench: Workbench, settings: VersionSettings, model: int) -> tuple[Kept, ...]:
    """Return the version before any block; none where no versions are kept."""
    if not settings.on:
        return ()
    weights = bench.models.digest(model)
    version = Version(FIRST, weights, GENESIS, 0, -1, bench.accuracy_of(model))
    return (Kept(version, model),)


def release(
    bench: Workbench,
    settings: VersionSettings,
    parent: ChainState,
    model: int,
    *,
    block: bytes,
    author: int,
    round: int,
) -> Released:
    """Release the model of a block on top of `parent`, or roll back to a much better one.

    A block that changes nothing releases nothing.

    Args:
        bench: where models are kept and measured.
        settings: which versions are kept.
        parent: the chain below the block.
        model: key of the model that the block made.
        block: hash of the block.
        author: device that made it; -1: a server.
        round: number of the round.
    """
    if not settings.on or model == parent.model:
        return Released(model, (), parent.kept)
    accuracy = bench.accuracy_of(model)
    before = parent.kept[-1].version.id
    version = Version(before, bench.models.digest(model), block, round, author, accuracy)
    new = [Kept(version, model)]
    best = worth_restoring(parent.kept, accuracy, settings.rollback_drop)
    if best is not None:
        old = best.version
        back = Version(version.id, old.weights, block, round, author, old.accuracy, old.id)
        new.append(Kept(back, best.model))
    keep = settings.keep if settings.rollback_drop else 1
    released = tuple(kept.version for kept in new)
    return Released(new[-1].model, released, (*parent.kept, *new)[-keep:])


def supersede(
    chain: ServerChain,
    bench: Workbench,
    settings: VersionSettings,
    model: int,
    *,
    author: int,
    round: int,
) -> None:
    """Let a server hold another model, whose author is given, as a block without payments.

    Devices get it when they next download what the server holds.
    """
    current = chain.head
    head = hashlib.sha256(current.head + bench.models.digest(model)).digest()
    released = release(bench, settings, current, model, block=head, author=author, round=round)
    chain.head = dataclasses.replace(
        following(chain, head, author, round),
        model=released.model,
        versions=released.versions,
        kept=released.kept,
    )


def move(
    chain: ServerChain, moves: Sequence[Payment], memory: Memory, *, author: int, round: int
) -> None:
    """Let a server pay out of a rule's accounts, as a block without a new model.

    `memory` is the rule's afterwards. `chain.settle` executes the payments.
    """
    paid = repr([(p.payee, p.amount, p.reason, p.payer) for p in moves]).encode()
    head = hashlib.sha256(chain.head.head + paid).digest()
    state = following(chain, head, author, round)
    chain.head = dataclasses.replace(state, moves=tuple(moves), memory=memory)


def following(chain: ServerChain, head: bytes, author: int, round: int) -> ChainState:
    """Return a state on top of the server's that changes nothing."""
    current = chain.head
    return ChainState(
        id=chain.book.new_id(),
        parent=current,
        height=current.height + 1,
        head=head,
        weight=current.weight + 1,
        model=current.model,
        miner=author,
        round=round,
        memory=current.memory,
        outcomes=current.outcomes,
        kept=current.kept,
    )
