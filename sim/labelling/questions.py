"""The questionnaire: a row for each question, columns for what is asked about which item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary import UNKNOWN, Labels
from sim.labelling.items import Items
from sim.labelling.settings import LabellingSettings
from sim.streams import Streams

MEDIA = ("image", "text", "sound")
"""Columns of a questionnaire, of which a question fills the one of its medium."""


class Questions:
    """The questions of open tasks, by number.

    Args:
        settings: the keys of the table `labelling`.
        items: that the questions are about.
        streams: of the run.
    """

    def __init__(self, settings: LabellingSettings, items: Items, streams: Streams) -> None:
        self._settings, self._items, self._streams = settings, items, streams
        self._open: dict[int, tuple[int, bool]] = {}
        self._next = 0

    def add(self, fresh: Sequence[int], known: Sequence[int]) -> list[int]:
        """Add the questions of a task about these items, and return their numbers.

        Gold questions about items that are `known` are mixed in at drawn places.
        """
        rng = self._streams.rng("labelling gold", self._next)
        chosen = rng.permutation(known)[: self._settings.gold].tolist()
        pairs = [(int(row), False) for row in fresh] + [(int(row), True) for row in chosen]
        order = rng.permutation(len(pairs)) if chosen else range(len(pairs))
        numbers = []
        for at in order:
            self._open[self._next] = pairs[at]
            numbers.append(self._next)
            self._next += 1
        return numbers

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget the questions of a task that has ended."""
        for number in numbers:
            del self._open[number]

    def row(self, number: int) -> int:
        """Return the item of a question."""
        return self._open[number][0]

    def rows(self, numbers: Sequence[int]) -> list[int]:
        """Return the items of questions."""
        return [self._open[number][0] for number in numbers]

    def is_gold(self, number: int) -> bool:
        """Return whether the creator knows the label that it asks for."""
        return self._open[number][1]

    def gold_of(self, numbers: Sequence[int]) -> int:
        """Return how many of the questions are gold questions."""
        return sum(self._open[number][1] for number in numbers)

    def points(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """Return the answer points of questions, `int64[q]`."""
        return np.full(len(numbers), self._settings.points, dtype=np.int64)

    def truth(self, numbers: Sequence[int]) -> Labels:
        """Return the true labels, `int64[q]`: for the simulator alone."""
        return self._items.labels[self.rows(numbers)]

    def gold(self, numbers: Sequence[int]) -> Labels:
        """Return the labels of gold questions, `int64[q]`, `UNKNOWN` for the others."""
        flags = np.array([self._open[number][1] for number in numbers])
        return np.where(flags, self.truth(numbers), UNKNOWN)

    def checked(self, numbers: Sequence[int]) -> Labels:
        """Return the labels that the creator knows: of gold questions, and of those it looks at."""
        draws = self._streams.rng("labelling inspection", numbers[0]).random(len(numbers))
        looked = draws < self._settings.inspected
        return np.where(looked, self.truth(numbers), self.gold(numbers))

    def public(self, number: int) -> dict[str, Any]:
        """Return the row of a question in the questionnaire as annotators see it."""
        hidden = ("gold", "label", "difficulty")
        return {name: v for name, v in self.record(number).items() if name not in hidden}

    def record(self, number: int) -> dict[str, Any]:
        """Return the row of a question in the questionnaire."""
        settings, (row, gold) = self._settings, self._open[number]
        media = dict.fromkeys(MEDIA)
        media[settings.medium] = self._items.reference(row)
        return {
            "question": number,
            "item": row,
            **media,
            "asks": settings.question,
            "answer_type": "choice",
            "options": self._items.options,
            "points": settings.points,
            "gold": gold,
            "label": int(self._items.labels[row]),
            "difficulty": float(self._items.difficulty[row]),
        }

    # --- checkpoints ------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"open": [[n, row, gold] for n, (row, gold) in self._open.items()], "n": self._next}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self._open = {n: (row, gold) for n, row, gold in state["open"]}
        self._next = state["n"]
