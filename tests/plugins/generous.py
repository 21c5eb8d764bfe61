"""A payout rule that lives outside the house."""

from dataclasses import dataclass

from fedstake import Payment, PayoutRule, Settlement, param


class Generous(PayoutRule):
    """Pays the same to every worker in the block."""

    name = "generous"
    summary = "a flat amount to every worker in the block"
    reference = "test"

    @dataclass(frozen=True)
    class Params:
        amount: int = param(5, help="base units per worker", ge=0)

    params: Params

    def settle(self, block):
        return Settlement(
            tuple(Payment(r.worker, self.params.amount, "reward.flat") for r in block.records)
        )
