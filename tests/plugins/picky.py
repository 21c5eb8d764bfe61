"""Payout rules for the benchmark's tests: what of them may be paid on tapes?"""

from fedstake import Payment, PayoutRule, Settlement


class Picky(PayoutRule):
    """Pays workers of accepted updates, and lets no device play again that was rejected once."""

    name = "picky"
    summary = "shuts out whoever was rejected"
    reference = "test"

    def members(self, memory):
        out = set(memory.get("out", ()))
        return frozenset(d for d in range(10) if d not in out) if out else None

    def settle(self, seen):
        out = set(seen.memory.get("out", ())) | {r.worker for r in seen.records if not r.accepted}
        paid = tuple(Payment(r.worker, 100, "reward") for r in seen.records if r.accepted)
        return Settlement(paid, {"out": sorted(out)[:3]})


class Broken(PayoutRule):
    """Pays a device that there is not."""

    name = "broken"
    summary = "fails in every block"
    reference = "test"

    def settle(self, seen):
        return Settlement((Payment(99, 1, "reward"),))
