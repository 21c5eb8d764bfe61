"""Equilibria of games of two to four players by Gambit, each checked by our own regret.

Gambit takes every player by itself, so that it also finds equilibria in which players of one role
play differently. It is an optional package: `pip install fedstake[games]`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.games.equilibria import EXACT, Equilibrium, by_welfare, known, polished
from experiments.games.game import Game, GameError, Mix

PLAYERS = (2, 4)
"""Fewest and most players of a game that is handed to Gambit."""
MOST_SUPPORTS = 5_000
"""Sets of strategies that `enumpoly` goes through, at most: about ten seconds."""
MOST_STRATEGIES = 12
"""Strategies of the player with fewer of them for `enummixed`, at most."""
DIGITS = 1e-7
"""Probabilities below this are rounding: the path of quantal responses comes close to 0 only."""


def check(game: Game) -> None:
    """Raise `GameError` unless Gambit is installed and the game has two to four players."""
    _package()
    players = sum(role.players for role in game.roles)
    least, most = PLAYERS
    if not least <= players <= most:
        expected = f'must be "own" for {players} players; Gambit is for {least} to {most}'
        raise GameError(f"solve.method = 'gambit': {expected}")


def equilibria(game: Game, *, tolerance: float = EXACT) -> tuple[list[Equilibrium], str]:
    """Return the equilibria that Gambit finds, best welfare first, and in words how it did.

    Two players: `enummixed`, which finds all (of a connected set of them its corners). Three and
    four: `enumpoly`, which goes through all supports. Where these fail or would take too long:
    `logit`, which follows the quantal responses to one equilibrium (Turocy 2005).

    Args:
        game: complete, with one player in each role (`table.apart`).
        tolerance: largest regret, as a share of the spread of the payoffs; others are dropped.

    Raises `GameError` without the package pygambit.
    """
    gambit = _package()
    arrays = [_tensor(game, role) for role in range(len(game.roles))]
    handed = gambit.StrategicGame.from_arrays(*arrays)
    mixes, how = _solved(gambit.nash, handed, [len(r.strategies) for r in game.roles])
    found: list[Equilibrium] = []
    dropped = 0
    for mix in mixes:
        best = min(_candidates(game, mix), key=game.regret)
        regret = game.regret(best)
        if regret > tolerance * game.spread:
            dropped += 1
        elif not known(best, found):
            found.append(Equilibrium(best, regret, game.expected(best)))
    if dropped:
        how += f"; {dropped} more had a regret above the tolerance and were dropped"
    return by_welfare(game, found), how


def _package() -> Any:
    """Return the module pygambit; raise `GameError` where it is not installed."""
    try:
        return importlib.import_module("pygambit")
    except ImportError:
        raise GameError(
            "solve.method = 'gambit': needs the package pygambit: pip install fedstake[games]"
        ) from None


def _solved(nash: Any, handed: Any, sizes: list[int]) -> tuple[list[Mix], str]:
    """Return the mixes that Gambit finds, and in words how."""
    if len(sizes) == 2 and min(sizes) <= MOST_STRATEGIES:
        found = nash.enummixed_solve(handed, rational=False).equilibria
        return _mixes(found), "Gambit's enummixed: all corners of the set of equilibria"
    supports = math.prod(2**size - 1 for size in sizes)
    why = f"more than {MOST_SUPPORTS:,} supports are too many to go through"
    if len(sizes) > 2 and supports <= MOST_SUPPORTS:
        found, left = _enumpoly(nash, handed)
        if found:
            return found, f"Gambit's enumpoly, over all supports{left}"
        why = "enumpoly found none"
    elif len(sizes) == 2:
        why = f"more than {MOST_STRATEGIES} strategies are too many for enummixed"
    return _mixes([nash.logit_solve(handed).equilibrium]), f"Gambit's logit: one of them; {why}"


def _enumpoly(nash: Any, handed: Any) -> tuple[list[Mix], str]:
    """Return the equilibria on all supports, and in words on how many it gave up."""
    given_up = []

    def noted(event: Any) -> None:
        if type(event).__name__ != "EnumPolyCandidateSupportEvent":
            given_up.append(event)

    try:
        found = nash.enumpoly_solve(handed, use_strategic=True, event_callback=noted).equilibria
    except RuntimeError:
        return [], ""
    left = f", but {len(given_up)} on which it gave up" if given_up else ""
    return _mixes(found), left


def _mixes(profiles: Any) -> list[Mix]:
    """Return Gambit's profiles as mixes, `float64[S]` each."""
    return [np.array([float(p) for row in mixed for _, p in row]) for mixed in profiles]


def _candidates(game: Game, mix: Mix) -> Iterator[Mix]:
    """Yield a mix without its rounding, and polished."""
    clean = np.where(mix < DIGITS, 0.0, mix)
    for part in game.parts:
        clean[part] /= clean[part].sum()
    yield clean
    yield polished(game, clean)


def _tensor(game: Game, role: int) -> NDArray[np.float64]:
    """Return the payoffs of the only player of a role, an axis for the strategies of each role."""
    sizes = [len(r.strategies) for r in game.roles]
    part = game.parts[role]
    # Profiles count one player in each role, the first strategy first: the order of the tensor.
    own = np.where(game.profiles[:, part] > 0, game.payoffs[:, part], 0.0).sum(axis=1)
    return own.reshape(sizes)
