"""The VBFL round: workers train, validators vote, miners assemble blocks, one block wins.

Chen et al., arXiv:2101.03300. Numerics are computed first (`plan`, `ballots`); the clock then
decides what arrives in time (`delivery`, `mining`, `adoption`).
"""

from __future__ import annotations

from sim.protocols.vbfl.adoption import Adoption
from sim.protocols.vbfl.ballots import judge
from sim.protocols.vbfl.delivery import Delivery
from sim.protocols.vbfl.game import VbflGame
from sim.protocols.vbfl.mining import Mining
from sim.protocols.vbfl.plan import make_plan
from sim.protocols.vbfl.record import record


def play_round(game: VbflGame) -> None:
    """Play and record one round; whatever lasts beyond it is in `game`."""
    plan = make_plan(game)
    delivery = Delivery(plan, judge(plan))
    adoption = Adoption(delivery)
    mining = Mining(delivery, adoption)
    delivery.start()
    mining.start()
    plan.clock.run()
    _keep_live_models(delivery)
    # A block that is adopted ends the round: what comes too late for it does not make it longer.
    game.end_time(adoption.adopted_s if adoption.appended else plan.clock.last_s)
    record(mining)


def _keep_live_models(delivery: Delivery) -> None:
    """Keep the network that a device used last as its model while it has no block.

    This is the published code's alias. The network is what a worker trained, and what a validator
    loaded to judge: the last update that it voted on.
    """
    game, work = delivery.plan.game, delivery.plan.work
    if not game.scenario.chain.live_model_alias:
        return
    used = dict(work.row)
    for ballot in sorted(delivery.cells, key=lambda b: (b.time_s or 0.0, b.worker)):
        if ballot.time_s is not None:
            used[ballot.validator] = work.row[ballot.worker]
    for device, row in sorted(used.items()):
        holding = game.forks[device]
        if holding.state.height == 0 and work.finite[row]:
            holding.live_model = game.bench.models.add(work.updates[row].copy())
