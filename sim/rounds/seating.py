"""Who sits where in a VBFL round: roles, and which validator and miner each device turns to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from mechanisms.vocabulary import Role, RoleObservation

if TYPE_CHECKING:
    from sim.world import World


@dataclass
class Seating:
    """`workers`, `validators` and `miners` are all that were drawn; `here` those of them that are online.

    `committee[w]` are the validators that judge worker w, its own first. Who has no entry found nobody to turn to.
    """

    workers: list[int]
    validators: list[int]
    miners: list[int]
    here: set[int]
    validator_of: dict[int, int] = field(default_factory=dict)
    miner_of: dict[int, int] = field(default_factory=dict)
    committee: dict[int, list[int]] = field(default_factory=dict)


def seat(world: World, online: set[int]) -> Seating:
    """Draw roles, then let everybody who is online choose."""
    roles = _draw_roles(world)
    for p in world.participants:
        p.role = roles.get(p.device)
    workers, validators, miners = (
        sorted(d for d, r in roles.items() if r is role)
        for role in (Role.WORKER, Role.VALIDATOR, Role.MINER)
    )
    seating = Seating(workers, validators, miners, {d for d in roles if d in online})
    _associate(world, seating)
    return seating


def _draw_roles(world: World) -> dict[int, Role]:
    canonical = world.canonical()
    shut = frozenset() if world.scenario.blocklist.holds_roles else canonical.blocked
    admitted = world.admitted(canonical.memory)
    trusted = tuple(d for d in admitted if d not in shut)
    # Too few left to fill the roles: shut-out devices fill seats (of workers, whom nobody will listen to), lowest first.
    stand_ins = [d for d in admitted if d in shut][
        : max(0, sum(world.role_rule.minimum()) - len(trusted))
    ]
    eligible = tuple(sorted((*trusted, *stand_ins)))
    if len(eligible) < sum(world.role_rule.minimum()):
        return {}  # the payout rule admits too few to fill the roles: a round without anybody
    seen = RoleObservation(
        round=world.round_index,
        eligible=eligible,
        stakes=tuple(world.stake(d) for d in eligible),
        previous_hash=canonical.head,
        rng=world.streams.rng("roles", world.round_index),
        outcomes=tuple(canonical.outcomes.get(d, (0, 0)) for d in eligible),
    )
    roles = world.role_rule.assign(seen)
    swaps = iter(seen.rng.permutation([d for d in trusted if roles[d] is Role.WORKER]).tolist())
    for device in stand_ins:
        if roles[device] is not Role.WORKER and (other := next(swaps, None)) is not None:
            roles[device], roles[other] = roles[other], roles[device]
    return roles


def _associate(world: World, seating: Seating) -> None:
    """Each worker picks a validator and a miner, each validator a miner: uniformly among those it can reach and trusts."""
    here, rngs, r = seating.here, world.streams.rng, world.round_index
    blocked = [p.state.blocked for p in world.participants]
    component = world.network.component
    candidates = {
        Role.VALIDATOR: [v for v in seating.validators if v in here],
        Role.MINER: [m for m in seating.miners if m in here],
    }

    @cache
    def trusted_among(role: Role, shut: frozenset[int], part: int) -> list[int]:
        """Devices of a role that are there, not shut out, and in one connected part of the network."""
        return [d for d in candidates[role] if d not in shut and component[d] == part]

    def choose(device: int, role: Role, purpose: str) -> int | None:
        """One of those the device trusts, if that one trusts the device."""
        trusted = trusted_among(role, blocked[device], component[device])
        if not trusted:
            return None
        choice = trusted[rngs(purpose, device, r).integers(len(trusted))]
        return None if device in blocked[choice] else choice

    for device in (*seating.workers, *seating.validators):
        if device in here and (miner := choose(device, Role.MINER, "association")) is not None:
            seating.miner_of[device] = miner
    for worker in seating.workers:
        if (
            worker in here
            and (first := choose(worker, Role.VALIDATOR, "association.validator")) is not None
        ):
            seating.validator_of[worker] = first
            trusted = trusted_among(Role.VALIDATOR, blocked[worker], component[worker])
            others = [v for v in trusted if v != first and worker not in blocked[v]]
            seating.committee[worker] = [first, *_committee(world, worker, others)]


def _committee(world: World, worker: int, others: list[int]) -> list[int]:
    """Those that the first validator sends the update on to: all others, or a drawn few."""
    size = world.scenario.validation.committee
    if not size or size - 1 >= len(others):
        return others
    rng = world.streams.rng("committee", worker, world.round_index)
    return sorted(rng.choice(others, size=size - 1, replace=False).tolist())
