"""Who is shut out after a block."""

from __future__ import annotations

from collections.abc import Iterable

from mechanisms.vocabulary import UpdateRecord
from sim.chain.state import ChainState, Streak
from sim.protocols.vbfl.settings import BlocklistSettings


def shut_out(
    state: ChainState,
    records: Iterable[UpdateRecord],
    workers: Iterable[int],
    when: int,
    rules: BlocklistSettings,
) -> tuple[dict[int, Streak], dict[int, Streak], frozenset[int]]:
    """Return streaks of rejected updates and of absences after a block, and who is shut out now.

    An update is rejected when more validators voted against it than for it. `workers` are all
    workers of the round.
    """
    consecutive = rules.in_a_row == "rounds"
    rejected, absent, blocked = dict(state.rejected), dict(state.absent), set(state.blocked)
    seen = {r.worker: r.accepted for r in records}
    for worker in sorted(workers):
        hits = [(absent, worker not in seen, rules.lazy_rounds)]
        if worker in seen:
            hits.append((rejected, not seen[worker], rules.knock_out_rounds))
        for streaks, hit, limit in hits:
            if not hit:
                streaks.pop(worker, None)
                continue
            count, last = streaks.get(worker, (0, when - 1))
            count = 1 if consecutive and last != when - 1 else count + 1
            streaks[worker] = (count, when)
            if limit and count >= limit:
                blocked.add(worker)
    return rejected, absent, frozenset(blocked)
