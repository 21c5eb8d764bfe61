"""Who sits where in a VBFL round: roles, and which validator and miner each device turns to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from mechanisms import answers
from mechanisms.vocabulary import Role, RoleObservation
from sim.protocols.vbfl.game import VbflGame


@dataclass
class Seating:
    """The seats of a round.

    `workers`, `validators` and `miners` are all that were drawn; `online` those of them that are
    online.

    `committee[w]` are the validators that judge worker w, its own first. Who has no entry found
    nobody to turn to.
    """

    workers: list[int]
    validators: list[int]
    miners: list[int]
    online: set[int]
    validator_of: dict[int, int] = field(default_factory=dict)
    miner_of: dict[int, int] = field(default_factory=dict)
    committee: dict[int, list[int]] = field(default_factory=dict)


def seat(game: VbflGame, online: set[int]) -> Seating:
    """Draw roles, then let everybody who is online choose."""
    roles = _draw_roles(game)
    for p in game.population:
        p.role = roles.get(p.device)
    drawn: dict[Role, list[int]] = {Role.WORKER: [], Role.VALIDATOR: [], Role.MINER: []}
    for device in sorted(roles):
        drawn[roles[device]].append(device)
    seated = {device for device in roles if device in online}
    seating = Seating(drawn[Role.WORKER], drawn[Role.VALIDATOR], drawn[Role.MINER], seated)
    _associate(game, seating)
    return seating


def _draw_roles(game: VbflGame) -> dict[int, Role]:
    """Return the role of every eligible device; empty when they are too few for the roles."""
    # Who is eligible. Too few left to fill the roles: shut-out devices fill seats, lowest first.
    canonical = game.forks.canonical()
    shut = frozenset[int]() if game.scenario.blocklist.holds_roles else canonical.blocked
    admitted = game.admitted(canonical.memory)
    needed = sum(game.roles.minimum())
    trusted = tuple(device for device in admitted if device not in shut)
    shut_out = [device for device in admitted if device in shut]
    stand_ins = shut_out[: max(0, needed - len(trusted))]
    eligible = tuple(sorted((*trusted, *stand_ins)))
    if len(eligible) < needed:
        return {}

    # Who is drawn. Stand-ins swap with workers, whom nobody will listen to.
    seen = RoleObservation(
        round=game.clock.round,
        eligible=eligible,
        stakes=tuple(game.treasury.balance(device) for device in eligible),
        previous_hash=canonical.head,
        rng=game.streams.rng("roles", game.clock.round),
        outcomes=tuple(canonical.outcomes.get(device, (0, 0)) for device in eligible),
    )
    roles = answers.roles(game.roles, game.roles.assign(seen), seen)
    workers = [device for device in trusted if roles[device] is Role.WORKER]
    swaps = iter(seen.rng.permutation(workers).tolist())
    for device in stand_ins:
        if roles[device] is Role.WORKER:
            continue
        other = next(swaps, None)
        if other is not None:
            roles[device], roles[other] = roles[other], roles[device]
    return roles


def _associate(game: VbflGame, seating: Seating) -> None:
    """Let each worker draw a validator and a miner, each validator a miner.

    Uniform among those that it can reach and trusts.
    """
    online = seating.online
    blocked = [holding.state.blocked for holding in game.forks]
    component = game.network.component
    candidates = {
        Role.VALIDATOR: [v for v in seating.validators if v in online],
        Role.MINER: [m for m in seating.miners if m in online],
    }

    @cache
    def trusted_among(role: Role, shut: frozenset[int], part: int) -> list[int]:
        """Return online devices of a role, not shut out, in one connected part of the network."""
        return [d for d in candidates[role] if d not in shut and component[d] == part]

    def choose(device: int, role: Role, purpose: str) -> int | None:
        """Return one of those that the device trusts, if that one trusts the device."""
        trusted = trusted_among(role, blocked[device], component[device])
        if not trusted:
            return None
        draw = game.streams.rng(purpose, device, game.clock.round).integers(len(trusted))
        choice = trusted[draw]
        return None if device in blocked[choice] else choice

    for device in (*seating.workers, *seating.validators):
        miner = choose(device, Role.MINER, "association") if device in online else None
        if miner is not None:
            seating.miner_of[device] = miner
    for worker in seating.workers:
        first = None
        if worker in online:
            first = choose(worker, Role.VALIDATOR, "association.validator")
        if first is not None:
            seating.validator_of[worker] = first
            trusted = trusted_among(Role.VALIDATOR, blocked[worker], component[worker])
            others = [v for v in trusted if v != first and worker not in blocked[v]]
            seating.committee[worker] = [first, *_committee(game, worker, others)]


def _committee(game: VbflGame, worker: int, others: Sequence[int]) -> Sequence[int]:
    """Return those that the first validator sends the update on to: all others, or a drawn few."""
    size = game.scenario.validation.committee
    there = 1 + len(others)
    if size:
        game.reduced.add("validation", "committee", size, min(size, there), there)
    if not size or size >= there:
        return others
    rng = game.streams.rng("committee", worker, game.clock.round)
    return sorted(rng.choice(others, size=size - 1, replace=False).tolist())
