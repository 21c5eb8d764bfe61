"""The inspection game of the tests, whose answers are known."""

from concurrent.futures import Executor, Future
from pathlib import Path

GAME = Path(__file__).parents[2] / "plugins" / "inspection.py"
SCENARIO = """
name = "inspection"
protocol = "inspection.py:Inspection"
rounds = 2
devices = 5
payout = { initial_balance = 1_000_000 }
"""


def gain(share: float, *, stake: float = 0, inspected: float = 0.5, purse: float = 10_000) -> float:
    """What a taker gains in two rounds, on average."""
    return 2 * (purse * share * (1 - share) - inspected * stake * share)


class Here(Executor):
    """Runs what it is given at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):
        done = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def play_here(sweep):
    sweep.play(executor=Here())
